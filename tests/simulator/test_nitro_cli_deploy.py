"""A deployment script for real parent instances, run unchanged against the shims and a real broker.

It builds an image of a folder, runs an enclave of it, finds it, looks at its console and ends it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator import cli
from simulator.images.sample import write_sample
from simulator.interpose.probe import NoRung, probe
from simulator.nitro_cli.places import VARIABLE

SCRIPT = """\
#!/bin/bash
set -euo pipefail
app=$1
nitro-cli build-enclave --docker-uri "$app:1" --docker-dir "$2" --output-file "$app.eif" \\
    > "$app.build.json"
nitro-cli run-enclave --cpu-count 2 --memory 128 --eif-path "$app.eif" --debug-mode \\
    > "$app.run.json"
id=$(jq -r .EnclaveID "$app.run.json")
nitro-cli describe-enclaves > "$app.enclaves.json"
found=$(jq -r --arg id "$id" '.[] | select(.EnclaveID == $id) | .Measurements.PCR0' \\
    "$app.enclaves.json")
[ "$found" = "$(jq -r .Measurements.PCR0 "$app.build.json")" ]
"${@:3}"
nitro-cli console --enclave-id "$id" --disconnect-timeout 1 > "$app.console"
nitro-cli terminate-enclave --enclave-id "$id" | jq -e .Terminated
"""

# What a script of the parent has for a host program: it dials the enclave.
HOST_PROGRAM = """\
import json, socket, sys, time
cid = json.load(open(sys.argv[1]))["EnclaveCID"]
while True:
    enclave = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    try:
        enclave.connect((cid, 5000))
        break
    except ConnectionResetError:  # Its program does not listen yet.
        enclave.close()
        time.sleep(0.05)
print(json.loads(enclave.makefile().readline())["module_id"])
"""

MACHINES = ("m1", "m2")


@pytest.fixture(name="here", scope="module")
def _here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the shims, the script and images to build, and, once asked, two machines."""
    for tool in ("jq", "bash"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed, which the script needs")
    try:
        probe().choose_for_boot()
    except NoRung as error:
        pytest.skip(f"no enclave boots here: {error}")
    folder = tmp_path_factory.mktemp("d")
    assert cli.main(["shims", str(folder / "bin")]) == 0
    write_sample(folder / "sample")
    write_sample(folder / "broken", broken=True)
    (folder / "deploy.sh").write_text(SCRIPT)
    (folder / "host.py").write_text(HOST_PROGRAM)
    yield folder
    for name in MACHINES:
        assert cli.main(["machine", "stop", "--machine", str(folder / name)]) == 0


def started(folder: Path, machine: str, *words: str) -> subprocess.Popen[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("ATTESTED_KMS")}
    environ = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        VARIABLE: str(folder / machine),
    }
    return subprocess.Popen(
        words,
        cwd=folder,
        env=kept | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def nitro_cli(folder: Path, *words: str) -> tuple[int, str, str]:
    with started(folder, MACHINES[0], "nitro-cli", *words) as command:
        out, err = command.communicate()
    return command.returncode, out, err


def test_a_deployment_script_runs_twice_at_once(here: Path) -> None:
    """On two machines: on one, the second run-enclave may find port 9000 taken (E36)."""
    with (
        started(here, MACHINES[0], "bash", "deploy.sh", "one", "sample") as one,
        started(here, MACHINES[1], "bash", "deploy.sh", "two", "sample") as two,
    ):
        for script, app in ((one, "one"), (two, "two")):
            out, err = script.communicate()
            assert (script.returncode, out) == (0, "true\n"), err
            assert "Enclave Image successfully created.\nStart allocating memory...\n" in err
            assert "sample enclave: listening" in (here / f"{app}.console").read_text()
    assert nitro_cli(here, "describe-enclaves") == (0, "[]\n", "")


def test_a_deployment_script_runs_under_the_supervisor(here: Path) -> None:
    """Its host program dials the enclave that its nitro-cli has run."""
    with started(
        here,
        MACHINES[0],
        *(sys.executable, "-m", "simulator.cli", "run", "--parent", "--"),
        *("bash", "deploy.sh", "one", "sample", sys.executable, "host.py", "one.run.json"),
    ) as script:
        out, err = script.communicate()
    assert script.returncode == 0, err
    module_id, terminated = out.splitlines()
    enclave_id = json.loads((here / "one.run.json").read_text())["EnclaveID"]
    instance_id, _, number = enclave_id.partition("-enc")
    assert module_id == f"{instance_id}-enc{number:0>16}"
    assert terminated == "true"


def test_bug_1_as_its_script_saw_it(here: Path) -> None:
    """ENTRYPOINT beside CMD: all goes well, the enclave is gone, and only the console tells."""
    build = ["build-enclave", "--docker-uri", "b", "--docker-dir", "broken", "--output-file", "b"]
    assert nitro_cli(here, *build)[0] == 0
    run = ["run-enclave", "--cpu-count", "2", "--memory", "128", "--eif-path", "b"]
    exit_code, out, err = nitro_cli(here, *run, "--attach-console")
    assert exit_code == 45
    described, end = json.JSONDecoder().raw_decode(out)
    assert described["EnclaveName"] == "b"
    console = out[end:].splitlines()[3:]
    assert console[0] == "execvpe: -I: No such file or directory"
    assert console[-1].endswith("reboot: machine restart")
    assert "[ E45 ]" in err
    assert nitro_cli(here, "describe-enclaves") == (0, "[]\n", "")
