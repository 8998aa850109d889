"""The sample enclave: what is copied suffices to run it, and it attests."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import cli
from simulator.images import BadImage, open_image
from simulator.images.sample import PORT, write_sample
from simulator.interpose.plan import Rung
from simulator.interpose.run import Options, Run
from tests.simulator.supervised import needs, new_nsm

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the sample has the libraries of a Linux machine"
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "image"
    write_sample(folder, modules=["bisect"])
    return folder


def test_the_sample_is_small_and_says_what_runs(sample: Path) -> None:
    image = open_image(sample)
    assert image.config.command == ("/usr/bin/python3", "-I", "-S", "/app.py")
    files = list(image.entries())
    assert sum(file.size for file in files) < 30_000_000
    assert image.find("/usr/bin/python3") is not None
    assert [file for file in files if file.path.endswith("bisect.py")]
    assert not [file for file in files if file.path.endswith("asyncio")]


def test_a_broken_sample_has_the_trap_of_bug_1(tmp_path: Path) -> None:
    write_sample(tmp_path / "broken", broken=True)
    config = open_image(tmp_path / "broken").config
    assert (config.entrypoint, config.command[0]) == (("/usr/bin/python3",), "-I")
    dockerfile = (tmp_path / "broken/Dockerfile").read_text()
    assert 'ENTRYPOINT ["/usr/bin/python3"]\nCMD ["-I", "-S", "/app.py"]' in dockerfile


def test_a_module_of_this_environment_is_the_program(tmp_path: Path) -> None:
    """With what it imports, and with the whole of the packages that are not Python's own."""
    folder = tmp_path / "image"
    words = ["--program", "scenarios.workload.enclave", "--argument=--control-port=5005"]
    assert cli.main(["eif", "sample", str(folder), *words]) == 0
    image = open_image(folder)
    assert image.config.command[1:] == (
        *("-I", "-S", "-m", "scenarios.workload.enclave"),
        "--control-port=5005",
    )
    library = f"/usr/lib/python3.{sys.version_info.minor}"
    for file in ("cryptography/x509/__init__.py", "cbor2/__init__.py", "scenarios/__init__.py"):
        assert image.find(f"{library}/{file}") is not None, file
    assert image.find(f"{library}/scenarios/test_flow.py") is None
    # It cannot attest here, and says so in its own words: all that it imports is there.
    root = folder / "rootfs"
    finished = subprocess.run(
        [f"{root}/usr/bin/python3", "-I", "-S", "-m", "scenarios.workload.enclave"],
        env={"LD_LIBRARY_PATH": f"{root}/usr/lib", "ATTESTED_KMS_FABRIC": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stderr.split(":")[0]) == (1, "enclave"), finished


def test_nothing_is_wrong_with_it(sample: Path) -> None:
    assert cli.main(["lint", str(sample / "Dockerfile")]) == 0


def test_a_folder_with_something_in_it_is_left_alone(sample: Path, tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="is there and not empty"):
        write_sample(sample)
    with pytest.raises(BadImage, match=r"cannot be copied: .*No module named 'no_such'"):
        write_sample(tmp_path / "new", modules=["no_such"])
    assert not (tmp_path / "new").exists()


def test_the_sample_attests(sample: Path, tmp_path: Path) -> None:
    """Run where it lies, with its own interpreter and libraries."""
    needs(Rung.OPEN_TRAP)
    root = sample / "rootfs"
    program = [str(root / "usr/bin/python3"), "-I", "-S", str(root / "app.py")]
    options = Options(
        fabric=tmp_path,
        rung=Rung.OPEN_TRAP,
        environment={"LD_LIBRARY_PATH": str(root / "usr/lib")},
    )
    reader, writer = os.pipe()
    with (
        os.fdopen(reader) as output,
        Run(program, new_nsm().handle, options, stdin=subprocess.DEVNULL, stdout=writer),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as parent,
    ):
        os.close(writer)
        assert output.readline() == f"sample enclave: listening at vsock port {PORT}\n"
        parent.connect(str(tmp_path / f"16_{PORT}.sock"))
        with parent.makefile() as stream:
            told = json.loads(stream.readline())
    assert told["module_id"].startswith("i-")
    assert len(told["pcrs"]["0"]) == 96
    assert told["module_id"].encode() in base64.b64decode(told["document"])
