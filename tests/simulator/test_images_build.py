"""Enclave images made of container images."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from nsm_fake.eif import Eif, measure
from simulator.images import BadImage, NoCommand, open_image
from simulator.images.blobs import placeholders
from simulator.images.build import Builder, BuildResult, build_eif
from simulator.images.contents import OpenFile, Span
from simulator.images.cpio import read
from simulator.placeholders import placeholder_files
from tests.simulator.image_archives import APP, legacy_files, saved, write_archive, write_files

BUILDER = Builder("a test", "1")
ROOT = Path(__file__).resolve().parents[2]


def build(image: Path, output: Path, blobs: Path | None = None) -> BuildResult:
    return build_eif(open_image(image), output, builder=BUILDER, blobs=blobs)


def pcr(*parts: bytes) -> bytes:
    return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(parts)).digest()).digest()


def test_an_image_has_its_parts_in_order_and_its_measurements(tmp_path: Path) -> None:
    output = tmp_path / "app.eif"
    result = build(saved(tmp_path / "image.tar", APP), output)
    eif = Eif.open(output)
    eif.check_crc()
    assert [section.type.name for section in eif.sections] == [
        *("KERNEL", "CMDLINE", "METADATA", "RAMDISK", "RAMDISK"),
    ]
    kernel, cmdline, _, boot, application = (eif.read(section) for section in eif.sections)
    assert cmdline.decode() == placeholders("amd64").cmdline
    assert b"placeholder" in kernel
    assert result.measurements == measure(output)
    assert (result.measurements.pcr0, result.is_hardware) == (
        pcr(kernel, cmdline, boot, application),
        False,
    )
    ramdisk = eif.ramdisks[1]
    names = [
        header.name
        for header, _ in read(
            Span(OpenFile.at(output), ramdisk.content, len(application)),
        )
    ]
    assert (names[0], names[-2:]) == ("rootfs", ["cmd", "env"])


def test_the_same_image_has_the_same_measurements_however_it_was_saved(tmp_path: Path) -> None:
    one = build(saved(tmp_path / "image.tar", APP), tmp_path / "1.eif")
    two = build(write_archive(tmp_path / "old.tar", legacy_files(APP)), tmp_path / "2.eif")
    assert one.measurements == two.measurements
    built = [Eif.open(tmp_path / name).metadata() for name in ("1.eif", "2.eif")]
    assert built[0] is not None
    assert built[1] is not None
    assert built[0]["BuildMetadata"].pop("BuildTime") != built[1]["BuildMetadata"].pop("BuildTime")
    assert built[0] == built[1]
    assert (built[0]["ImageName"], len(built[0]["ImageVersion"])) == ("app", 64)
    assert built[0]["BuildMetadata"] == {
        "BuildTool": "a test",
        "BuildToolVersion": "1",
        "OperatingSystem": "Linux",
        "KernelVersion": "4.14.256",
    }
    assert built[0]["DockerInfo"]["Config"]["Cmd"] == ["/app", "--x"]


def test_with_real_blobs_the_measurements_are_those_of_hardware(tmp_path: Path) -> None:
    blobs = write_files(tmp_path / "blobs", placeholder_files("arm64"))
    for name in ("Image", "init", "nsm.ko"):
        (blobs / name).write_bytes(b"real")
    result = build(
        saved(tmp_path / "image.tar", APP, architecture="arm64"), tmp_path / "app.eif", blobs
    )
    assert result.is_hardware
    eif = Eif.open(tmp_path / "app.eif")
    assert (eif.read(eif.kernel), eif.header.flags) == (b"real", 1)


def test_nothing_is_written_for_an_image_without_a_command(tmp_path: Path) -> None:
    with pytest.raises(NoCommand):
        build(saved(tmp_path / "image.tar", APP, config={}), tmp_path / "app.eif")
    assert not (tmp_path / "app.eif").exists()


def test_a_device_is_not_replaced_by_an_image(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="/dev/full is no regular file"):
        build(saved(tmp_path / "image.tar", APP), Path("/dev/full"))


def test_a_full_disk_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    image = saved(tmp_path / "image.tar", APP)
    output = tmp_path / "out" / "app.eif"
    output.parent.mkdir()
    output.write_text("an older one")
    script = (
        "import resource, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "from simulator.images import open_image\n"
        "from simulator.images.build import Builder, build_eif\n"
        "build_eif(open_image(Path(sys.argv[2])), Path(sys.argv[3]), builder=Builder('t', '1'))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script, str(ROOT), str(image), str(output)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert "OSError: [Errno 27] File too large" in finished.stderr
    assert [path.name for path in output.parent.iterdir()] == ["app.eif"]
    assert output.read_text() == "an older one"
