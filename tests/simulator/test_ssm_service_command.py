"""`attested-kms ssm serve`: what it says, whom it answers, and that nothing is left of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from simulator import cli
from simulator.environment import without_aws
from simulator.systems_manager.server import Credentials, Served
from tests.simulator.ssm_world import World, client_of, world


@pytest.fixture(name="folder")
def _folder() -> Iterator[Path]:
    # Not pytest's: the sockets in a machine's folder take a short path.
    with TemporaryDirectory(prefix="ssm-") as temporary:
        yield Path(temporary)


@contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], World]]:
    """The command, and a world around what it says."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "simulator.cli", "ssm", "serve"),
            *("--machine", str(folder / "machine"), *options),
        ],
        env={**without_aws(os.environ), "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            ready: dict[str, Any] = json.loads(process.stdout.readline())
            credentials = Credentials(
                ready.pop("aws_access_key_id"), ready.pop("aws_secret_access_key")
            )
            service = Served(
                ready.pop("ssm_endpoint"),
                ready.pop("region"),
                ready.pop("instance_id"),
                credentials,
                "",
            )
            assert ready == {}
            yield process, World(service, client_of(service), folder / "machine")
        finally:
            process.terminate()
            process.wait()


def test_it_serves_until_it_is_told_to_end(folder: Path) -> None:
    with served(folder, "--region", "eu-west-1", "--fault", "1=unseen:1") as (process, ssm):
        assert ssm.served.region == "eu-west-1"
        assert ssm.served.endpoint.startswith("http://127.0.0.1:")
        command = ssm.send("echo $AWS_SSM_REGION_NAME", "timeout 0.1 sleep 60")
        with pytest.raises(ssm.client.exceptions.InvocationDoesNotExist):
            ssm.invocation(command)
        ended = ssm.wait(command)
        assert (ended["ResponseCode"], ended["StandardOutputContent"]) == (124, "eu-west-1\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    # Nothing of it in the folder for temporary files: the machine stays.
    assert [path.name for path in folder.iterdir()] == ["machine"]


@pytest.mark.skipif(sys.platform != "linux", reason="finding descendants takes Linux's /proc")
@pytest.mark.skipif(shutil.which("setsid") is None, reason="no setsid here")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_of_a_script(folder: Path, number: signal.Signals) -> None:
    """Killed too: the agent sees its end. Also not what has left the script's group."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    # Not waiting for who writes, so that they need not wait either.
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with served(folder) as (process, ssm), os.fdopen(descriptor) as reader:
        ssm.run(f"setsid sleep 600 > {pipe} 2>&1 < /dev/null &")
        os.set_blocking(descriptor, True)
        ssm.send(f"exec 3> {pipe}", "setsid sleep 600 &", "sleep 600 &", "echo up >&3", "wait")
        assert reader.readline() == "up\n"
        process.send_signal(number)
        # It ends when nobody holds the other end any more.
        assert reader.read() == ""
        assert process.wait() == (0 if number != signal.SIGKILL else -signal.SIGKILL)


def test_the_machines_broker_outlives_it(folder: Path) -> None:
    """nitro-cli in a script starts it, and enclaves live in it."""
    machine = folder / "machine"
    with served(folder) as (_, ssm):
        ended = ssm.run("nitro-cli describe-enclaves")
        assert (ended["Status"], ended["StandardOutputContent"]) == ("Success", "[]\n")
    with socket.socket(socket.AF_UNIX) as broker:
        broker.connect(str(machine / "broker.sock"))
    assert cli.main(["machine", "stop", "--machine", str(machine)]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the service's process takes Linux's /proc")
def test_a_service_that_a_script_starts_outlives_it(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is systemd's and not the agent's."""
    unit = "nitro-enclaves-vsock-proxy"
    machine = folder / "machine"
    with served(folder) as (_, ssm):
        with (machine / "root/etc/hosts").open("a") as hosts:
            hosts.write("127.0.0.1 kms.us-east-1.amazonaws.com\n")
        ended = ssm.run(f"systemctl start {unit}", f"systemctl is-active {unit}")
        assert ended["StandardOutputContent"] == "active\n"
    try:
        with served(folder) as (_, ssm):
            assert ssm.run(f"systemctl is-active {unit}")["StandardOutputContent"] == "active\n"
    finally:
        assert cli.main(["machine", "stop", "--machine", str(machine)]) == 0
        assert "has stopped" in capfd.readouterr().out


@pytest.mark.parametrize("is_made_anew", [True, False])
def test_a_machine_that_has_gone_is_a_terminated_instance(*, is_made_anew: bool) -> None:
    """No script runs for another one in its place, and nothing of a removed one comes back."""
    with world() as ssm:
        assert ssm.run("true")["Status"] == "Success"
        options = ["--machine", str(ssm.machine)]
        assert cli.main(["machine", "stop", *options]) == 0
        if is_made_anew:
            words = ["machine", "create", "--force", "--instance-id", ssm.served.instance_id]
            assert cli.main([*words, *options]) == 0
        else:
            shutil.rmtree(ssm.machine)
        with pytest.raises(ssm.client.exceptions.InvalidInstanceId):
            ssm.send("true")
        (described,) = ssm.client.describe_instance_information()["InstanceInformationList"]
        assert described["PingStatus"] == "ConnectionLost"
        assert not list(ssm.machine.glob("root/var/lib/amazon/*"))
        assert ssm.machine.exists() == is_made_anew


def test_an_agent_that_is_killed_is_not_online() -> None:
    with world() as ssm:
        ended = ssm.run("echo $PPID")
        os.kill(int(ended["StandardOutputContent"]), signal.SIGKILL)
        described = ssm.client.describe_instance_information
        while described()["InstanceInformationList"][0]["PingStatus"] == "Online":
            pass
        assert ssm.invocation(ssm.send("true"))["Status"] == "Pending"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fault", "2=los"], "'2=los' is not a fault; write N=lost"),
        (["--region", "nowhere"], "There is no Region nowhere; give one such as us-east-1."),
        (["--machine", "/proc/nothing"], "The machine's folder /proc/nothing cannot be used"),
    ],
)
def test_wrong_usage_is_said_in_a_sentence(
    options: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ssm", "serve", "--machine", str(folder / "machine"), *options]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert f"attested-kms ssm serve: {words}" in written.err


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        # In a process of its own: cheroot leaves a socket open then.
        finished = subprocess.run(
            [
                *(sys.executable, "-m", "simulator.cli", "ssm", "serve"),
                *("--machine", str(folder / "machine"), "--port", port),
            ],
            env=without_aws(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (finished.returncode, finished.stdout) == (1, "")
    assert f"attested-kms ssm serve: Port {port} of 127.0.0.1 cannot be used" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_machine_that_is_damaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = folder / "machine"
    machine.mkdir()
    (machine / "machine.json").write_text("{")
    assert cli.main(["ssm", "serve", "--machine", str(machine)]) == 2
    assert "is not a JSON object" in capsys.readouterr().err
