"""The end of a rehearsal: what is left is told, signals reach the command, and skips are said."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from simulator import cli
from simulator.interpose.plan import Rung
from simulator.machine_shell import shell
from simulator.rehearsal import command, left, world
from tests.simulator.rehearsal_world import ROOT, SECONDS, Rehearsed, rehearsed, variables, words
from tests.simulator.supervised import needs

LEAVE = """
cd "$TMPDIR"
attested-kms eif sample app > made.txt
nitro-cli build-enclave --docker-dir app --docker-uri app --output-file app.eif
nitro-cli run-enclave --eif-path app.eif --cpu-count 2 --memory 256 --enclave-cid 16
attested-kms run --parent -- python -c '
import socket
with socket.socket(socket.AF_VSOCK) as enclave:
    enclave.connect((16, 5000))
    print(enclave.makefile().readline())'
python -c 'import boto3; boto3.client("kms").create_key()'
echo mine > /etc/mine
sleep 1000 > /dev/null 2>&1 &
"""

TRAP = """
import os, pathlib, shutil, signal, time
told = []
def tell(number, _):
    told.append(number)
    # Not print: the signal may come within one.
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, tell)
import boto3, botocore.exceptions
try:
    boto3.client("sts", "us-east-1").get_caller_identity()
except botocore.exceptions.ClientError as error:
    print(error.response["Error"]["Code"], flush=True)
print(*[name for name in ("docker", "nitro-cli") if shutil.which(name)], flush=True)
print(os.environ["AWS_REGION"], pathlib.Path("/dev/nitro_enclaves").exists(), flush=True)
while len(told) < 4:
    time.sleep(0.1)  # Not pause: a signal that comes just before it would be heard after it.
raise SystemExit(7)
"""


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    return rehearsed(tmp_path_factory.mktemp("messy"), "--late", "0", "--", "bash", "-euc", LEAVE)


def test_what_is_left_makes_a_rehearsal_fail(messy: Rehearsed) -> None:
    assert messy.exit_code == 1, messy.stderr
    assert messy.left["exit_code"] == 0
    for line in messy.left["too_much"]:
        assert f"error: left behind: {line}" in messy.stderr


def test_each_thing_that_is_left_is_named(messy: Rehearsed) -> None:
    found = messy.left
    assert [(one["EnclaveCID"], one["State"]) for one in found["enclaves"]] == [(16, "RUNNING")]
    assert [one["state"] for one in found["keys"]] == ["Enabled"]
    assert found["images"] == ["app:latest"]
    assert [one["words"] for one in found["processes"]] == [["sleep", "1000"]]
    assert found["files"][0] == "/etc/mine"
    assert {Path(path).name for path in found["files"][1:]} == {"app", "app.eif", "made.txt"}


def test_nothing_of_the_world_is_there_afterwards(messy: Rehearsed) -> None:
    (process,) = messy.left["processes"]
    temporary = Path(messy.left["files"][1]).parents[1]
    while Path(f"/proc/{process['pid']}").exists():
        time.sleep(0.01)  # It has been killed, and ends a moment later.
    assert not temporary.exists()
    assert not Path("/etc/mine").exists()


def test_the_enclave_was_real_enough(messy: Rehearsed) -> None:
    assert '"module_id": "i-' in messy.stdout


def test_signals_reach_the_command_each_time(tmp_path: Path) -> None:
    """And its exit code is the rehearsal's; on the way, parts of a world that are missing."""
    needs(Rung.NAMESPACES)
    parts = (
        *("docker=absent", "nitro-cli=absent", "region=mismatch", "device=absent"),
        *("clock=skewed", "sts.GetCallerIdentity=sighup"),
    )
    given = [word for part in parts for word in ("--fail", part)]
    line = words(tmp_path, *given, "--", "python", "-c", TRAP)
    with subprocess.Popen(
        line, env=variables(), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(4)]
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
            seen.append(process.stdout.readline())
        out, err = process.communicate(timeout=SECONDS)
    assert seen[:4] == ["SIGHUP\n", "SignatureDoesNotMatch\n", "\n", "eu-west-1 False\n"]
    assert seen[4:] == ["SIGTERM\n", "SIGTERM\n", "SIGINT\n"]
    assert (process.returncode, Rehearsed(7, out, err, tmp_path).left["too_much"]) == (7, [])


@pytest.mark.parametrize(("more", "expected"), [((), 77), (("--or-skip",), 0)])
def test_where_there_can_be_no_namespace_it_is_skipped(
    more: tuple[str, ...],
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    @contextmanager
    def made(_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(machine=None, log=tmp_path)

    nothing = left.Left([], [], [], [], [])
    monkeypatch.setattr(world, "world", made)
    monkeypatch.setattr(left, "watch", lambda _: lambda: nothing)
    monkeypatch.setattr(command, "run", lambda *_: (70, nothing))
    monkeypatch.setattr(shell, "why_not", lambda _: "attested-kms machine shell: it takes root")
    assert cli.main(["rehearsal", *more, "--", "true"]) == expected
    assert capsys.readouterr().err == "attested-kms rehearsal: skipped: it takes root\n"
