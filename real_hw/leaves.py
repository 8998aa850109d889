"""The programs of a run that dial and listen on vsock: the dialler and the host proxy.

Each is a process of its own, so that nothing else of a run touches vsock. What they say on their
standard error stays in the run's folder. What is asked of an enclave is not known here.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from real_hw.actions import (
    COMMAND_SECONDS,
    ActionFailed,
    Actions,
    Command,
    Process,
    Question,
    Started,
)
from real_hw.doing import python_module
from real_hw.settings import PROXY_PORT, Settings
from real_hw.undo import Entry, Ledger
from scenarios.workload import frames

_SOURCE = "scenarios/workload, the reference application"


def start_leaf(
    actions: Actions, ledger: Ledger, settings: Settings, words: tuple[str, ...], why: str
) -> Process:
    """Start a program of the workload, which says `ready`. It is ended with the run.

    `words` are a module and its arguments, or the leash and these.
    """
    *_, module = (word for word in words if word.startswith("scenarios."))
    name = module.rpartition(".")[2]
    command = Command(python_module(settings.launcher, *words), why, _SOURCE)
    started: list[Process] = []

    def end(_: Entry) -> None:
        for process in started:
            process.end()

    with ledger.making("process", end) as entry:
        started.append(actions.start(Started(command, settings.folder / f"{name}.log")))
        entry.made(name)
    return started[0]


def start_proxy(actions: Actions, ledger: Ledger, settings: Settings) -> Process:
    """The host proxy, which calls KMS for the enclave."""
    words = (
        *("scenarios.workload.leash", "scenarios.workload.kms_proxy_host"),
        *("--port", str(PROXY_PORT), "--region", settings.region),
    )
    why = "the host proxy calls KMS for the enclave, with the role of the instance"
    return start_leaf(actions, ledger, settings, words, why)


class Dialler:
    """The one process that dials enclaves."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def frame(
        self,
        cid: int,
        port: int,
        message: Mapping[str, Any],
        *,
        why: str,
        stand_in: Mapping[str, Any],
        patience: float = 0.0,
    ) -> dict[str, Any]:
        """The message that answers a message. Raises ActionFailed."""
        sent = base64.b64encode(frames.encode(message)).decode("ascii")
        told = base64.b64encode(frames.encode(stand_in)).decode("ascii")
        request = {"cid": cid, "port": port, "frame": sent, "patience": patience}
        came = self._ask(request, "frame", why, told, patience)
        try:
            return frames.decode(came[frames.HEAD_BYTES :])
        except frames.FrameError as error:
            raise ActionFailed(f"the enclave's answer cannot be read: {error}") from error

    def line(self, cid: int, port: int, line: bytes, *, why: str, patience: float) -> bytes:
        """The line that answers a line. Raises ActionFailed."""
        sent = base64.b64encode(line).decode("ascii")
        request = {"cid": cid, "port": port, "line": sent, "patience": patience}
        return self._ask(request, "line", why, "", patience)

    def _ask(
        self, request: Mapping[str, Any], kind: str, why: str, stand_in: str, patience: float
    ) -> bytes:
        seconds = COMMAND_SECONDS + patience + 10.0
        answer = self._process.ask(Question(request, why, {kind: stand_in}, seconds))
        if "error" in answer:
            raise ActionFailed(f"the enclave at CID {request['cid']}: {answer['error']}")
        return base64.b64decode(answer[kind])


def start_dialler(actions: Actions, ledger: Ledger, settings: Settings) -> Dialler:
    """The dialler, when it is ready."""
    words = ("scenarios.workload.dial",)
    process = start_leaf(actions, ledger, settings, words, "what dials enclaves over vsock")
    process.wait_until_ready()
    return Dialler(process)
