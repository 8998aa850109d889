"""Systems Manager as `ssm_script` needs it, with an agent that runs what it is sent right here.

A stand-in for a boto3 client, for what no service does when asked: parts that get lost, answers
that are cut, errors. It runs commands as amazon-ssm-agent does (runscript.go, executers_unix.go):
one file, `sh -c FILE`, a process group of its own, SIGKILL for all of it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from simulator.ssm_script import shell
from simulator.ssm_script.limits import OUTPUT_BYTES
from simulator.ssm_script.payload import Script
from simulator.ssm_script.plan import Plan, Request
from simulator.ssm_script.progress import Progress
from simulator.ssm_script.running import Result, Run
from simulator.ssm_script.service import Service

INSTANCE = "i-0123456789abcdef0"
BARE = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_STDOUT = 24_000
_STDERR = 8_000


def client_error(operation: str, code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@dataclass
class Command:
    """One command: its process, and what became of it."""

    number: int
    process: subprocess.Popen[bytes]
    folder: Path
    comment: str
    status: str = ""
    details: str = ""

    def kill(self, status: str, details: str) -> None:
        if not self.status:
            self.status, self.details = status, details
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def answer(self) -> dict[str, Any]:
        code = self.process.poll()
        if code is None and not self.status:
            return {"Status": "InProgress", "StatusDetails": "InProgress"}
        status = self.status or ("Success" if code == 0 else "Failed")
        return {
            "Status": status,
            "StatusDetails": self.details or status,
            "ResponseCode": code,
            "StandardOutputContent": _first(self.folder / "stdout", _STDOUT),
            "StandardErrorContent": _first(self.folder / "stderr", _STDERR),
        }


def _first(path: Path, characters: int) -> str:
    return path.read_text(errors="replace")[:characters]


@dataclass
class Agent:
    """The client. `before_send` may change a request or raise; `after` may change an answer."""

    folder: Path
    sh: str = "sh"
    environment: Mapping[str, str] = field(default_factory=lambda: BARE)
    before_send: Callable[[int, Request], Request] = lambda _number, request: request
    after: Callable[[int, dict[str, Any]], dict[str, Any]] = lambda _number, answer: answer
    commands: dict[str, Command] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    meta: Any = field(default_factory=lambda: SimpleNamespace(region_name="eu-west-1"))
    timers: list[threading.Timer] = field(default_factory=list)

    def send_command(self, **request: Any) -> dict[str, Any]:
        number = len(self.commands) + 1
        request = dict(self.before_send(number, request))
        folder = self.folder / str(number)
        folder.mkdir()
        script = folder / "_script.sh"
        script.write_text("\n".join(request["Parameters"]["commands"]) + "\n")
        script.chmod(0o700)
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [self.sh, "-c", str(script)],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=self.environment,
                process_group=0,
            )
        command = Command(number, process, folder, request["Comment"])
        self.commands[f"command-{number}"] = command
        seconds = float(request["Parameters"]["executionTimeout"][0])
        timer = threading.Timer(seconds, command.kill, ("TimedOut", "Execution Timed Out"))
        timer.daemon = True
        timer.start()
        self.timers.append(timer)
        return {"Command": {"CommandId": f"command-{number}"}}

    def get_command_invocation(self, **asked: str) -> dict[str, Any]:
        command = self.commands[asked["CommandId"]]
        return self.after(command.number, command.answer())

    def cancel_command(self, **asked: Any) -> dict[str, Any]:
        self.cancelled.append(asked["CommandId"])
        self.commands[asked["CommandId"]].kill("Cancelled", "Cancelled")
        return {}

    @property
    def comments(self) -> list[str]:
        return [command.comment.partition(": ")[2] for command in self.commands.values()]

    def close(self) -> None:
        for timer in self.timers:
            timer.cancel()
        for command in self.commands.values():
            command.kill("Cancelled", "Cancelled")


@contextmanager
def agent(folder: Path, **more: Any) -> Iterator[Agent]:
    one = Agent(folder, **more)
    try:
        yield one
    finally:
        one.close()


@dataclass
class World:
    """An agent, a plan's folder, and what was said."""

    agent: Agent
    run_id: str
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return Path(shell.FOLDER + self.run_id)

    def plan(
        self, script: Script | bytes, *, timeout: int = 60, output_bytes: int = OUTPUT_BYTES
    ) -> Plan:
        one = script if isinstance(script, Script) else Script(script)
        return Plan(one, INSTANCE, self.run_id, timeout, output_bytes)

    @property
    def service(self) -> Service:
        return Service(self.agent, INSTANCE, Progress(self.said.append))

    def run(self, script: Script | bytes, *, clean: bool = True, **plan: int) -> Result:
        return Run(self.plan(script, **plan), self.service, clean=clean).carry_out()

    def left(self) -> list[Path]:
        return list(self.folder.parent.glob(f"{self.folder.name}*"))


def filler(size: int) -> bytes:
    """A comment that no compressor makes shorter than six bits a letter."""
    return b"#" + bytes(random.Random(size).choices(_LETTERS, k=size)) + b"\n"  # noqa: S311
