"""One request over the broker's socket, and its answer (`simulator.nitro_cli.connection`).

Whoever asks may go before it is answered: what it asked for is done all the same, as an enclave
outlives the nitro-cli that ran it. What is no request is refused, and harms nobody.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from simulator.machine import requests
from simulator.machine.failures import Refused
from simulator.machine.launch import Teller
from simulator.machine.machine import Machine
from simulator.machine.parts import CannotSimulate
from simulator.machine.requests import AllocateArguments, BadRequest, RunArguments
from simulator.machine.state import KnownEnclave

_log = logging.getLogger(__name__)

_LONGEST_REQUEST = 1 << 20
_REQUEST_SECONDS = 10.0
_CREDENTIALS = struct.Struct("=iii")
_ROOT_USER = 0


class Warnings:
    """What whoever asks next must be told. Thread-safe."""

    def __init__(self) -> None:
        self._due: list[str] = []
        self._lock = Lock()

    def add(self, text: str) -> None:
        """Something to tell, once."""
        with self._lock:
            if text not in self._due:
                self._due.append(text)

    def take(self) -> list[str]:
        """All that is due; it is told with that."""
        with self._lock:
            due, self._due = self._due, []
        return due


@dataclass(frozen=True, slots=True)
class Listener:
    """Who answers: a machine, and how its broker is told to stop."""

    folder: Path
    machine: Machine
    lost: Sequence[KnownEnclave]
    """Enclaves that ended with the broker before this one, which was killed."""
    warnings: Warnings
    stop: Callable[[], None]
    installation: list[Any]
    """Of the broker, as it was when it started."""

    def converse(self, connection: socket.socket) -> None:
        """Take one request and answer it; closes the connection."""
        with suppress(OSError), connection, connection.makefile("rb") as stream:
            connection.settimeout(_REQUEST_SECONDS)
            if _is_ours(connection):
                line = stream.readline(_LONGEST_REQUEST)
                if line.endswith(b"\n"):
                    connection.settimeout(None)
                    self._answer(line, connection, _Voice(connection))

    def _answer(self, line: bytes, connection: socket.socket, voice: _Voice) -> None:
        try:
            asked = _parsed(line)
            if asked["command"] == "hold":
                voice.tell("answer", None)
                connection.recv(1)
                return
            self._say_what_is_due(asked, voice)
            voice.tell("answer", self._do(asked, voice))
            if asked["command"] == "stop":
                self.stop()
        except (BadRequest, RecursionError) as error:
            voice.tell("refused", f"The machine's broker cannot read the request: {error}.")
        except Refused as refused:
            voice.tell("failed", refused.failure.to_json())
        except CannotSimulate as error:
            voice.tell("refused", str(error))
        except OSError as error:
            voice.tell(
                "refused",
                f"The machine's files in {self.folder} cannot be used "
                f"({error.strerror or error}); make room, or make them yours.",
            )
        except Exception as error:  # noqa: BLE001  # Logged; the others' machine goes on.
            _log.exception("A request failed")
            voice.tell(
                "refused",
                f"The machine's broker failed by itself ({type(error).__name__}: {error}); "
                f"{self.folder}/broker.log has more.",
            )

    def _do(self, asked: Mapping[str, Any], voice: _Voice) -> Any:
        arguments, machine = asked["arguments"], self.machine
        user = requests.user_of(asked)
        teller = Teller(voice.say, voice.notice)
        answer: Any = None
        match asked["command"]:
            case "run":
                answer = machine.run(RunArguments.parse(arguments), user, teller)
            case "describe":
                answer = machine.describe()
            case "display":
                answer = machine.display(with_metadata=arguments.get("metadata") is True)
            case "terminate":
                answer = machine.terminate(requests.enclave_id_of(arguments), user, teller)
            case "status":
                answer = machine.status() | {"lost": [asdict(one) for one in self.lost]}
            case "allocate":
                answer = machine.allocate(AllocateArguments.parse(arguments))
            case "stop":
                # Nobody starts another meanwhile: the lock is held until this process ends.
                machine.close()
            case other:
                raise BadRequest(f"there is no command {other!r}")
        return answer

    def _say_what_is_due(self, asked: Mapping[str, Any], voice: _Voice) -> None:
        for warning in self.warnings.take():
            voice.tell("warning", warning)
        other = asked.get("installation")
        if other is not None and other != self.installation:
            voice.notice(
                f"The machine's broker is another copy of attested-kms, {self.installation[0]}, "
                "or an earlier state of this one; attested-kms machine stop ends it and its "
                "enclaves, and the next command starts one of this copy."
            )


class _Voice:
    """Messages to whoever asked; one who has gone is told nothing, and stops nothing."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def say(self, text: str) -> None:
        """A line of nitro-cli's on standard error."""
        self.tell("say", text)

    def notice(self, text: str) -> None:
        """A sentence of the simulator's own."""
        self.tell("notice", text)

    def tell(self, member: str, value: Any) -> None:
        """One message."""
        with suppress(OSError):
            self._connection.sendall(json.dumps({member: value}).encode() + b"\n")


def turn_away(connection: socket.socket, reason: str) -> None:
    """Refuse somebody who cannot be listened to now."""
    with connection:
        _Voice(connection).tell(
            "refused",
            f"The machine's broker cannot listen to this command: {reason}. Try again.",
        )


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"it is not JSON ({error})") from error
    if (
        not isinstance(asked, dict)
        or not isinstance(asked.get("command"), str)
        or not isinstance(asked.get("arguments"), dict)
    ):
        raise BadRequest("it has no command, or no arguments")
    return asked


def _is_ours(connection: socket.socket) -> bool:
    """Whether this user, or root, is at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(raw)
    return user in (os.geteuid(), _ROOT_USER)
