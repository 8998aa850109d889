"""`attested-kms eif build` and `eif sample` as a user runs them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nsm_fake.eif import Eif, certificate_pcr, measure
from simulator import cli
from simulator.images.contents import OpenFile, Span
from simulator.images.cpio import read
from simulator.images.store import ImageStore
from simulator.placeholders import placeholder_files
from tests.nsm_fake.eif_images import certificate, pem_of_key, private_key
from tests.simulator.image_archives import APP, saved, write_files

Run = Callable[..., tuple[int, str, str]]

YEAR = dt.timedelta(days=365)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `attested-kms eif`; gives exit code, standard output and standard error."""

    def command(*words: str | Path) -> tuple[int, str, str]:
        code = cli.main(["eif", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an image, that is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTESTED_KMS_MACHINE", str(tmp_path / "machine"))
    saved(tmp_path / "app.tar", APP)
    return tmp_path


def files_of(eif: Path) -> dict[str, bytes]:
    section = Eif.open(eif).ramdisks[1]
    ramdisk = Span(OpenFile.at(eif), section.content, section.size)
    return {header.name: content.open().read() for header, content in read(ramdisk)}


def test_build_prints_the_measurements_and_whose_they_are(folder: Path, run: Run) -> None:
    code, out, err = run("build", "app.tar", "-o", "app.eif")
    assert code == 0
    measured = measure(folder / "app.eif")
    assert json.loads(out)["Measurements"]["PCR0"] == measured.pcr0.hex()
    progress = err.splitlines()
    assert progress[0] == "attested-kms eif build: reading app.tar"
    assert "which runs /app --x" in progress[1]
    assert progress[-1].endswith("those of no enclave on hardware")


def test_build_takes_blobs_a_command_variables_and_metadata(folder: Path, run: Run) -> None:
    blobs = write_files(folder / "blobs", placeholder_files("amd64"))
    for name in ("bzImage", "init", "nsm.ko"):
        (blobs / name).write_bytes(b"real")
    (folder / "custom.json").write_text('{"commit": "4e2d1bf"}')
    code, _, err = run(
        *("build", "app.tar", "-o", "app.eif", "--blobs", blobs, "--name", "mine"),
        *("--version", "2", "--metadata", "custom.json", "--cmd", '/srv "a b"'),
        *("--env", "MODE=other", "--env", "NEW=1"),
    )
    assert (code, "its PCRs on hardware too" in err) == (0, True)
    files = files_of(folder / "app.eif")
    assert (files["cmd"], files["env"]) == (b"/srv\na b\n", b"PATH=/bin\nMODE=other\nNEW=1\n")
    metadata = Eif.open(folder / "app.eif").metadata()
    assert metadata is not None
    assert (metadata["ImageName"], metadata["ImageVersion"]) == ("mine", "2")
    assert metadata["CustomMetadata"] == {"commit": "4e2d1bf"}
    assert metadata["BuildMetadata"]["BuildTool"] == "attested-kms"


def test_build_signs(folder: Path, run: Run) -> None:
    key, now = private_key(), dt.datetime.now(dt.UTC)
    pem = certificate(key, begin=now - YEAR, end=now + YEAR)
    (folder / "key.pem").write_bytes(pem_of_key(key))
    (folder / "certificate.pem").write_bytes(pem)
    signing = "--signing-certificate", "certificate.pem", "--private-key", "key.pem"
    code, out, _ = run("build", "app.tar", "-o", "app.eif", *signing)
    assert code == 0
    assert json.loads(out)["Measurements"]["PCR8"] == certificate_pcr(pem).hex()
    assert run("verify", "app.eif")[0] == 0


def test_build_follows_a_dockerfile_over_stored_images(folder: Path, run: Run) -> None:
    ImageStore(folder / "machine/images").load(folder / "app.tar")
    files = {"Dockerfile": b'FROM app:1\nCOPY x /\nCMD ["/x"]\n', "x": b"x"}
    write_files(folder / "context", files)
    assert run("build", "context", "-o", "app.eif")[0] == 0
    built = files_of(folder / "app.eif")
    assert (built["cmd"], built["rootfs/x"]) == (b"/x\n", b"x")
    assert "rootfs/app" in built


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("missing", "-o", "x"), 2, "cannot read missing: No such file"),
        (("app.tar", "-o", "."), 2, ". is no regular file"),
        (("app.tar", "-o", "no/such/x"), 1, "no/such/x cannot be written (No such file"),
        (("app.tar", "-o", "x", "--blobs", "."), 2, "cannot read bzImage: No such file"),
        (("app.tar", "-o", "x", "--cmd", "'"), 2, "--cmd ': No closing quotation"),
        (("app.tar", "-o", "x", "--cmd", "[1]"), 2, '--cmd [1]: give ["/app"'),
        (("app.tar", "-o", "x", "--env", "X"), 2, "--env X: give NAME=VALUE"),
        (("app.tar", "-o", "x", "--private-key", "y"), 2, "give both"),
        (("app.tar", "-o", "x", "--image-limit", "-1"), 2, "give GiB"),
        (("app.tar", "-o", "x", "--architecture", "arm64"), 2, "an image for linux/amd64"),
        (("app.tar", "-o", "x", "--image-name", "b"), 2, "no image b; it has app:1"),
        (("app.tar", "-o", "x", "--metadata", "no.json"), 2, "no.json is no file"),
    ],
)
def test_what_cannot_be_built_is_a_sentence(
    words: tuple[str, ...], code: int, said: str, folder: Path, run: Run
) -> None:
    ended, out, err = run("build", *words)
    assert (ended, out) == (code, "")
    assert said in err.splitlines()[-1]
    assert not (folder / "x").exists()


def test_a_sample_can_be_built_at_once(folder: Path, run: Run) -> None:
    code, out, _ = run("sample", "sample")
    assert (code, out) == (0, "attested-kms eif build sample -o sample.eif\n")
    assert run(*out.split()[2:])[0] == 0
    command = files_of(folder / "sample.eif")["cmd"]
    assert command == b"/usr/bin/python3\n-I\n-S\n/app.py\n"
    assert run("sample", "sample")[0] == 2
