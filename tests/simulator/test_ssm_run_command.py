"""`attested-kms ssm run` by real boto3 against the simulated Systems Manager, over HTTP."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from simulator import cli
from simulator.environment import without_aws
from simulator.schema_check import schema
from tests.simulator.ssm_run_world import filler
from tests.simulator.ssm_world import World, world

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the instance's shell is Linux's")

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., int]


@pytest.fixture(name="ssm", scope="module")
def _ssm() -> Iterator[World]:
    with world() as made:
        yield made


def environment(ssm: World) -> dict[str, str]:
    credentials = ssm.served.credentials
    return {
        "AWS_ENDPOINT_URL_SSM": ssm.served.endpoint,
        "AWS_REGION": ssm.served.region,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_MAX_ATTEMPTS": "1",
    }


def process_environment(ssm: World) -> dict[str, str]:
    return {**without_aws(os.environ), **environment(ssm), "PYTHONPATH": str(ROOT)}


def command(ssm: World, *arguments: str) -> list[str]:
    start = [sys.executable, "-m", "simulator.cli", "ssm", "run"]
    return [*start, "--instance", ssm.served.instance_id, *arguments]


def run_at(ssm: World, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Run:
    """The command in this process, with a script's bytes for its first argument."""
    for name, value in environment(ssm).items():
        monkeypatch.setenv(name, value)

    def run(script: bytes, *arguments: str) -> int:
        path = folder / "script.sh"
        path.write_bytes(script)
        return cli.main(["ssm", "run", str(path), "--instance", ssm.served.instance_id, *arguments])

    return run


@pytest.fixture(name="run")
def _run(ssm: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return run_at(ssm, monkeypatch, tmp_path)


def answered(capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    told = json.loads(capfdbinary.readouterr().out)
    Draft202012Validator(schema("ssm-run")).validate(told)
    return told


@pytest.mark.parametrize(
    ("size", "commands"), [(20, 2), (10_965, 2), (200_000, 6), (1_000_000, 23)]
)
def test_a_script_of_any_length(
    run: Run, capfdbinary: pytest.CaptureFixture[bytes], size: int, commands: int
) -> None:
    assert run(b"echo whole\n" + filler(size) + b"exit 3\n", "--json") == 3
    told = answered(capfdbinary)
    assert (told["stdout"], told["ended"], len(told["commands"])) == ("whole\n", "script", commands)
    assert (told["message"], told["folder"]) == (None, None)


@pytest.mark.parametrize(("size", "commands"), [(2_499, 2), (2_501, 2), (24_001, 3), (200_000, 15)])
def test_output_of_any_length(
    run: Run, capfdbinary: pytest.CaptureFixture[bytes], size: int, commands: int
) -> None:
    """Of letters that compress to three quarters, which base64 makes up for.

    They are in the script: of the 15 commands, 4 bring it and 9 fetch.
    """
    script = b"tail -c +2 <<'end' | head -c %d; echo oh >&2\n%send\n" % (size, filler(size + 9))
    assert run(script, "--json") == 0
    told = answered(capfdbinary)
    assert told["stdout"].encode() == filler(size + 9)[1 : size + 1]
    assert told["stderr"] == "oh\n"
    assert len(told["commands"]) == commands


def test_binary_output_is_exact_and_apart(
    run: Run, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    content = random.Random(1).randbytes(50_000)  # noqa: S311
    (tmp_path / "bytes").write_bytes(content)
    script = f"cat {tmp_path}/bytes; head -c 300 {tmp_path}/bytes >&2; exit 1".encode()
    assert run(script, "--quiet") == 1
    shown = capfdbinary.readouterr()
    assert (shown.out, shown.err) == (content, content[:300])


@pytest.mark.parametrize("code", [0, 1, 124, 137, 168, 169, 194])
def test_the_exit_code(run: Run, capfdbinary: pytest.CaptureFixture[bytes], code: int) -> None:
    assert run(b"echo x; exit %d" % code, "--quiet") == code
    shown = capfdbinary.readouterr()
    assert (shown.out, shown.err) == (b"x\n", b"")


@pytest.mark.parametrize(
    ("script", "code", "stdout"),
    [
        (b"echo one; exec >&-; echo two", 1, b"one\n"),
        (b"echo one; kill -9 $$", 137, b"one\n"),
        (b"cat; echo end", 0, b"end\n"),
        (b"exec sh -c 'echo inside; exit 9'", 9, b"inside\n"),
        (b"sleep 1000 & echo left; kill -9 $!", 0, b"left\n"),
        (b"set -eu; echo ${HOME-none}; false; echo no", 1, b"none\n"),
    ],
)
def test_scripts_of_every_kind(
    run: Run, capfdbinary: pytest.CaptureFixture[bytes], script: bytes, code: int, stdout: bytes
) -> None:
    assert run(script, "--quiet") == code
    assert capfdbinary.readouterr().out == stdout


def test_a_process_in_the_background_is_left_alone(
    run: Run, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(b"sleep 1000 & echo $!", "--quiet") == 0
    os.kill(int(capfdbinary.readouterr().out), signal.SIGKILL)


def test_arguments_and_environment(run: Run, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    script = b'echo "$0|$A|$B|$1|$2"'
    options = ("--env", "A=it's", "--env", "B=1=2", "--arg", "{{x}}", "--arg=-y", "--shell", "sh")
    assert run(script, "--quiet", *options) == 0
    assert capfdbinary.readouterr().out.endswith(b"/run/script.sh|it's|1=2|{{x}}|-y\n")


def test_a_timeout(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    with world(second=0.2) as quick:
        run = run_at(quick, monkeypatch, tmp_path)
        assert run(b"echo before; sleep 1000", "--quiet", "--timeout", "5") == 124
    shown = capfdbinary.readouterr()
    assert shown.out == b"before\n"
    assert shown.err == (
        b"attested-kms ssm run: The script was stopped: it took longer than 5 seconds "
        b"(executionTimeout). Give it more with --timeout.\n"
    )


def test_what_goes_wrong_on_the_way(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    """Every command arrives twice, and none is known at first: the script runs once."""
    script = f"echo once | tee -a {tmp_path}/count; exit 5".encode() + b"\n" + filler(90_000)
    with world("each=twice", "each=unseen:2") as faulty:
        assert run_at(faulty, monkeypatch, tmp_path)(script, "--quiet") == 5
    assert capfdbinary.readouterr().out == b"once\n"
    assert (tmp_path / "count").read_text() == "once\n"


def test_an_instance_that_takes_nothing(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    with world("agent=offline", second=0.02) as offline:
        run = run_at(offline, monkeypatch, tmp_path)
        assert run(b"echo", "--wait", "30", "--timeout", "5", "--quiet") == 253
    assert b"amazon-ssm-agent" in capfdbinary.readouterr().err


def test_ctrl_c_ends_the_script_there(ssm: World, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "begun")
    script = f"echo $$ $0 > {tmp_path}/begun; sleep 1000"
    process = subprocess.Popen(
        command(ssm, "-"),
        env=process_environment(ssm),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    process.stdin.write(script.encode())
    process.stdin.close()
    process.stdin = None
    number, path = (tmp_path / "begun").read_text().split()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (130, b""), stderr
    assert b"cancelled, and its files are removed" in stderr
    assert b"Traceback" not in stderr
    assert not Path(path).parents[1].exists()
    assert (
        not Path("/proc", number, "cmdline").exists()
        or not Path("/proc", number, "cmdline").read_bytes()
    )


def test_the_calls_of_a_dry_run_run_the_script(
    ssm: World, run: Run, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    script = b"echo by hand; exit 4\n" + filler(120_000)
    assert run(script, "--dry-run") == 0
    text = capfdbinary.readouterr().out.decode()
    assert run(script, "--dry-run") == 0
    assert capfdbinary.readouterr().out.decode() == text
    requests = [
        json.loads(words[words.index("--cli-input-json") + 1].removesuffix(")"))
        for line in text.splitlines()
        if line.startswith("command=$(")
        for words in [shlex.split(line.removeprefix("command=$("))]
    ]
    assert run(script, "--dry-run", "--json") == 0
    told = answered(capfdbinary)
    calls = [call["parameters"] for call in told["calls"] if call["step"] != "fetch"]
    assert calls == requests
    ended = [
        ssm.wait(ssm.client.send_command(**request)["Command"]["CommandId"]) for request in requests
    ]
    assert ended[-2]["ResponseCode"] == 4
    assert ended[-2]["StandardOutputContent"].strip().endswith("DONE rc=4")
    assert ended[-1]["Status"] == "Success"


def test_output_that_cannot_be_written_here(ssm: World) -> None:
    with Path("/dev/full").open("wb") as full:
        finished = subprocess.run(
            command(ssm, "-", "--quiet"),
            env=process_environment(ssm),
            input=b"echo x; exit 6",
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert finished.returncode == 250
    assert finished.stderr.endswith(b"on device). The script ended with exit code 6.\n")


@pytest.mark.parametrize(
    ("closed", "script", "code", "said"),
    [
        (">&-", "echo x; exit 6", 250, "(Bad file descriptor). The script ended with exit code 6."),
        (">&-", "echo x >&2; exit 6", 6, "x"),
        ("<&-", "echo x", 2, "The script cannot be read: standard input is closed."),
    ],
)
def test_streams_that_are_closed_from_the_start(
    ssm: World, closed: str, script: str, code: int, said: str
) -> None:
    finished = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command(ssm, "-", "--quiet")],
        env=process_environment(ssm),
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == code
    assert finished.stderr.splitlines()[-1].endswith(said)
    assert "Traceback" not in finished.stderr


def test_a_dry_run_is_a_shell_script(
    ssm: World, run: Run, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    """With a stand-in for the AWS CLI that writes down what it is called with."""
    options = ("--dry-run", "--region", "eu-west-1", "--profile", "my own")
    assert run(filler(120_000), *options) == 0
    shown = capfdbinary.readouterr().out
    aws = tmp_path / "aws"
    aws.write_text(
        f'#!/bin/sh\nprintf "%s " "$2" "$3" "$4" "$5" "$6" >> {tmp_path}/called; echo id'
    )
    aws.chmod(0o755)
    subprocess.run(
        ["sh", "-eu"], input=shown, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=True
    )
    called = (tmp_path / "called").read_text()
    assert called.count("send-command --region eu-west-1 --profile my own") == 4
    assert called.count("get-command-invocation --command-id id --instance-id") == 4
    assert ssm.served.instance_id in called


USAGE = {
    "no file": (["/no/such/file"], "cannot be read: No such file or directory"),
    "a folder": (["/"], "cannot be read: Is a directory"),
    "no text": (["a\0b"], "cannot be read: embedded null byte"),
    "no id": (["{script}", "--instance", "my-server"], "'my-server' is no instance id"),
    "too short": (["{script}", "--timeout", "4"], "'4': 5 to 172800 seconds"),
    "no number": (["{script}", "--timeout", "1h"], "'1h': 5 to 172800 seconds"),
    "no wait": (["{script}", "--wait", "1"], "30 to 2592000"),
    "no pair": (["{script}", "--env", "hunter2"], "one has no =; give NAME=VALUE"),
    "no variable": (["{script}", "--env", "A B=1"], "--env A B=...: the name"),
    "no size": (["{script}", "--max-output", "0"], "'0' is no number of bytes"),
    "no words": (["{script}", "--shell", "sh '"], "No closing quotation"),
}


def cli_code(words: list[str]) -> object:
    """Its exit code, also where the parser ends it."""
    try:
        return cli.main(words)
    except SystemExit as ended:
        return ended.code


@pytest.mark.parametrize("name", USAGE)
def test_wrong_usage(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments, message = USAGE[name]
    (tmp_path / "script").write_text("echo")
    words = [word.replace("{script}", str(tmp_path / "script")) for word in arguments]
    instance = [] if "--instance" in words else ["--instance", "i-0123456789abcdef0"]
    assert cli_code(["ssm", "run", *words, *instance]) == 2
    assert message in capfd.readouterr().err


def test_an_empty_script(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(b"\n") == 2
    assert "script.sh is empty" in capfd.readouterr().err


def test_the_services_refusals_are_sentences(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(b"echo", "--instance", "i-00000000000000000") == 253
    assert "role has the policy AmazonSSMManagedInstanceCore" in capfd.readouterr().err
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    assert run(b"echo") == 254
    assert "does not accept the credentials" in capfd.readouterr().err
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert run(b"echo") == 254
    assert "no usable AWS credentials" in capfd.readouterr().err
    assert run(b"echo", "--profile", "nobody") == 254
    assert "(nobody) could not be found. aws configure" in capfd.readouterr().err
    monkeypatch.delenv("AWS_REGION")
    assert run(b"echo") == 254
    assert "give --region" in capfd.readouterr().err
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "nowhere")
    assert run(b"echo", "--region", "eu-west-1") == 2
    assert "Invalid endpoint: nowhere" in capfd.readouterr().err


def test_nobody_listens(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:1")
    assert run(b"echo") == 254
    assert "cannot be reached" in capfd.readouterr().err
