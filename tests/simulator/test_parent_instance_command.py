"""`attested-kms machine`, and `attested-kms run --parent` of a machine."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator import cli
from simulator.images import open_image
from simulator.images.build import build_eif
from simulator.images.sample import write_sample
from simulator.images.store import ImageStore
from simulator.interpose.plan import Rung
from simulator.nitro_cli.connection import is_answering
from simulator.nitro_cli.places import VARIABLE, MachineFolder
from tests.simulator.supervised import needs
from tests.simulator.test_run_command import run as run_program


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "m"
    monkeypatch.setenv(VARIABLE, str(folder))
    yield folder
    cli.main(["machine", "stop"])


def machine(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    code = cli.main(["machine", *arguments])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def test_a_machine_from_its_making_to_its_stop(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines, _ = machine(
        capsys,
        *("create", "--instance-type", "c5.2xlarge", "--memory-mib", "2048", "--cpu-pool", "1,5"),
        *("--instance-id", "i-0123456789abcdef0"),
    )
    assert code == 0
    assert "nitro-enclaves-allocator: - Reserved 2 pages of type: 1048576kB." in lines
    assert lines[-2] == f"i-0123456789abcdef0, c5.2xlarge: 8 vCPUs, 16384 MiB, in {folder}"
    assert (folder / "root.pem").read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert "--force" in machine(capsys, "create")[2]
    code, lines, _ = machine(capsys, "status")
    assert (code, lines[4:]) == (
        0,
        [
            "CPU pool: free 1,5, used none",
            "huge pages of 1048576 kB on node 0: 2, of which 2 free",
            "no enclave runs",
        ],
    )
    status = json.loads("\n".join(machine(capsys, "status", "--json")[1]))
    assert status["instance"]["type"] == "c5.2xlarge"
    code, lines, _ = machine(capsys, "allocator")
    assert (code, lines[-1][:22]) == (0, "Successfully allocated")
    assert "Error in setup CPU pool" in machine(capsys, "dmesg")[1][-1]
    assert machine(capsys, "logs") == (0, [], "")
    assert machine(capsys, "stop")[1] == [f"The machine {folder} has stopped."]
    assert machine(capsys, "stop")[1] == [f"No broker runs for the machine {folder}."]
    assert machine(capsys, "start")[0] == 0
    assert is_answering(MachineFolder(folder))
    code, _, errors = machine(capsys, "start", "--foreground")
    assert (code, "runs already" in errors) == (1, True)
    assert machine(capsys, "create", "--force", "--no-enclaves")[0] == 0
    assert "enclaves: not enabled" in machine(capsys, "status")[1][4]
    code, lines, errors = machine(capsys, "allocator")
    assert (code, len(lines), len(errors.splitlines())) == (1, 1, 3)


def test_an_image_is_given_to_its_engine(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image"
    (image / "rootfs").mkdir(parents=True)
    (image / "config.json").write_text('{"Cmd": ["/app"]}')
    assert machine(capsys, "load", str(image), "--tag", "hello")[1] == ["loaded hello:latest"]
    assert ImageStore(folder / "images").find("hello") is not None
    code, _, errors = machine(capsys, "load", str(tmp_path / "absent"))
    assert (code, len(errors.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--instance-type", "x9.huge"), "There is no instance type 'x9.huge'"),
        (("--region", "nowhere"), "is not an AWS region"),
        (("--role-arn", "nobody"), "nobody"),
        (("--instance-id", "i-1"), "is no instance id"),
        (("--vcpus", "3"), "do not make whole cores"),
        (("--cpu-pool", "a"), "is no list of CPUs"),
        (("--memory-mib", "0"), "is not a number above 0"),
        (("--idle-seconds", "soon"), "is not a number of seconds"),
    ],
)
def test_wrong_usage(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    try:
        code, _, errors = machine(capsys, "create", *arguments)
    except SystemExit as ended:
        code, errors = ended.code if isinstance(ended.code, int) else 1, capsys.readouterr().err
    assert (code, sentence in errors) == (2, True), errors
    assert not (folder / "machine.json").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--machine", "m", "--", "true"), "give --parent too"),
        (("--parent", "--machine", "m", "--fabric", "f", "--", "true"), "--machine or --fabric"),
    ],
)
def test_a_run_of_a_machine_needs_a_parent(arguments: tuple[str, ...], sentence: str) -> None:
    finished = run_program(*arguments)
    assert (finished.returncode, sentence in finished.stderr) == (2, True)


DEPLOYMENT = f"""
import json, os, socket, sys
sys.path.append({str(Path(__file__).resolve().parents[2])!r})
from simulator.nitro_cli.connection import request
from simulator.nitro_cli.places import MachineFolder

asked = {{"eif_path": sys.argv[1], "directory": "/", "memory_mib": 512, "cpu_count": 2}}
*_, last = request(MachineFolder.locate(os.environ), "run", {{**asked, "enclave_cid": 16}})
print(json.dumps(last["answer"]))
refused = True
while refused:
    with socket.socket(40, socket.SOCK_STREAM) as enclave:
        refused = enclave.connect_ex((16, 5000))
        if not refused:
            print(enclave.makefile().readline(), end="")
os.environ["ATTESTED_KMS_MACHINE"] += "-other"
try:
    list(request(MachineFolder.locate(os.environ), "describe"))
except Exception as error:
    print(error)
"""


def test_a_program_of_the_parent_runs_an_enclave_that_attests_and_outlives_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs(Rung.OPEN_TRAP)
    write_sample(tmp_path / "image")
    eif = tmp_path / "hello.eif"
    built = build_eif(open_image(tmp_path / "image"), eif)
    finished = run_program("--parent", "--", sys.executable, "-I", "-S", "-c", DEPLOYMENT, str(eif))
    assert (finished.returncode, finished.stderr) == (0, "")
    started, attested, refusal = finished.stdout.splitlines()
    assert refusal.startswith(f"Nobody answers for the machine {folder}-other")
    enclave_id = json.loads(started)["EnclaveID"]
    document = json.loads(attested)
    assert document["pcrs"]["0"] == built.measurements.pcr0.hex()
    instance_id, _, slot = document["module_id"].rpartition("-enc")
    assert enclave_id == f"{instance_id}-enc{int(slot, 16):x}"
    (described,) = json.loads("\n".join(machine(capsys, "status", "--json")[1]))["enclaves"]
    assert described["EnclaveID"] == enclave_id
    assert described["Measurements"]["PCR0"] == built.measurements.pcr0.hex()
    os.kill(described["ProcessID"], signal.SIGKILL)
    while json.loads("\n".join(machine(capsys, "status", "--json")[1]))["enclaves"]:
        pass
