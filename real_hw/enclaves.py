"""The one live enclave of a run: booted, spoken to, and ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2

from real_hw import nitro_cli
from real_hw.actions import ActionFailed, Actions, Command, Process, Started
from real_hw.aws import NO_ANSWERS
from real_hw.image import EnclaveImage
from real_hw.leaves import Dialler
from real_hw.settings import CONTROL_PORT, Settings
from real_hw.settle import Settling
from real_hw.undo import Entry, Ledger
from scenarios.target import (
    Finished,
    KmsError,
    NotSent,
    Opened,
    Refused,
)
from scenarios.target_parts import ProgramEnclave
from scenarios.workload import messages

BOOT_SECONDS = 300.0
"""nitro-cli itself gives up after 180 (aws-nitro-enclaves-cli 1.4.4, inferred)."""
PATIENCE_SECONDS = 60.0
"""run-enclave returns before the enclave's program listens."""

_ZERO = bytes(48)
_STAND_INS: Mapping[str, Mapping[str, Any]] = {
    "describe": {"nsm": {}, "pcrs": {str(index): _ZERO for index in range(16)}},
    "attest": {"document": b"document"},
    "run": {"outcome": "opened", "plaintext": b"plaintext", "response": {}},
}


@dataclass(frozen=True, slots=True)
class Running:
    """An enclave that runs."""

    enclave_id: str
    cid: int
    debug: bool
    entry: Entry


class HardwareEnclave(ProgramEnclave):
    """The enclave program, spoken to at its control port."""

    def __init__(self, dialler: Dialler, settling: Settling, running: Running) -> None:
        self._dialler = dialler
        self._settling = settling
        self.running = running

    def wait_until_ready(self) -> None:
        """Return when its program answers. Raises ActionFailed."""
        self._ask({"command": "describe"}, patience=PATIENCE_SECONDS)

    def root_sha256(self) -> str | None:
        """SHA-256 of the root certificate in its attestation documents."""
        document = self.attest()
        try:
            _, _, payload, _ = cbor2.loads(document)
            root: bytes = cbor2.loads(payload)["cabundle"][0]
        except (ValueError, TypeError, LookupError, cbor2.CBORDecodeError):
            return None
        return hashlib.sha256(root).hexdigest()

    def _run(self, request: Mapping[str, Any]) -> Opened | KmsError | Refused:
        once = super()._run
        what = f"{request['operation']} by the enclave"
        return self._settling.believed(lambda: once(request), what, request["members"])

    def _refusal(self, error: messages.AnswerError) -> KmsError:
        if error.kind is messages.Kind.KMS and error.http_status is not None:
            if error.code in NO_ANSWERS:
                raise ActionFailed(
                    f"the host proxy's call is no answer to build on: {NO_ANSWERS[error.code]} "
                    f"({error.code}: {error.message})"
                )
            return KmsError(error.code, error.message, error.http_status)
        if error.kind is messages.Kind.CLIENT and error.code == "ParamValidationError":
            raise NotSent(error.message)
        who = (
            "the host proxy got no answer of KMS"
            if error.kind is messages.Kind.CLIENT
            else error.kind
        )
        raise ActionFailed(f"{who}, so nothing is known: {error.code}: {error.message}")

    def _ask(self, request: Mapping[str, Any], *, patience: float = 0.0) -> dict[str, Any]:
        command = request["command"]
        answer = self._dialler.frame(
            self.running.cid,
            CONTROL_PORT,
            {"version": messages.VERSION, **request},
            why=f"the enclave program is told to {command}",
            stand_in=messages.success(_STAND_INS[command]),
            patience=patience,
        )
        try:
            return messages.result_of(answer)
        except ValueError as error:
            raise ActionFailed(f"the enclave program's answer is none: {error}") from error


class Enclaves:
    """Boots enclaves from one image, one at a time."""

    def __init__(
        self, actions: Actions, settings: Settings, ledger: Ledger, image: EnclaveImage
    ) -> None:
        self._actions = actions
        self._settings = settings
        self._ledger = ledger
        self._image = image
        self._console: Process | None = None
        self.boots = 0

    def boot(self, *, debug: bool) -> Running:
        """Boot an enclave; in debug mode its console is kept. Raises NitroCliFailed."""
        with self._ledger.making("enclave", self._end) as entry:
            told = nitro_cli.answer(self._actions, self._command(debug=debug))
            self.boots += 1
            running = Running(told["EnclaveID"], told["EnclaveCID"], debug, entry)
            entry.made(running.enclave_id)
        if debug:
            self._keep_console(running)
        return running

    def end(self, running: Running) -> None:
        """End it, and what reads its console."""
        running.entry.undo()
        self._end_console()

    def gone(self, running: Running) -> str:
        """Why an enclave does not answer, as far as can be told."""
        there = nitro_cli.enclaves(self._actions, "whether the enclave still runs")
        if any(one.get("EnclaveID") == running.enclave_id for one in there):
            return "It runs, but its program does not answer"
        return (
            "It has ended since: its program ended, or never ran. Only the console of an enclave "
            f"in debug mode tells why; consoles are kept in {self._settings.folder}"
        )

    def _command(self, *, debug: bool) -> Command:
        stand_in = {"EnclaveID": "i-0-enc0", "EnclaveCID": 16, "NumberOfCPUs": self._settings.cpus}
        return Command(
            (
                *(nitro_cli.PROGRAM, "run-enclave", "--eif-path", str(self._image.path)),
                *("--cpu-count", str(self._settings.cpus)),
                *("--memory", str(self._settings.memory_mib)),
                *("--enclave-name", self._name),
                *(("--debug-mode",) if debug else ()),
            ),
            f"the enclave boots{' in debug mode, to be compared' if debug else ''}",
            nitro_cli.SOURCE,
            Finished(0, json.dumps(stand_in), ""),
            seconds=BOOT_SECONDS,
            interruptible=False,
        )

    @property
    def _name(self) -> str:
        return self._settings.run_id

    def _keep_console(self, running: Running) -> None:
        command = Command(
            (nitro_cli.PROGRAM, "console", "--enclave-id", running.enclave_id),
            "the console of the enclave in debug mode, kept in the run's folder",
            nitro_cli.SOURCE,
        )
        name = f"console-{self.boots}"
        started = Started(
            command,
            self._settings.folder / f"{name}.errors",
            output=self._settings.folder / f"{name}.log",
        )
        with self._ledger.making("process", lambda _: self._end_console()) as entry:
            self._console = self._actions.start(started)
            entry.made(name)

    def _end_console(self) -> None:
        if self._console is not None:
            self._console.end()
            self._console = None

    def _end(self, entry: Entry) -> None:
        """End the enclave; look for it by its name if its boot had no answer."""
        names = [entry.name] if entry.name is not None else self._unknown()
        for enclave_id in names:
            nitro_cli.terminate(self._actions, enclave_id, "the run's enclave goes")

    def _unknown(self) -> list[str]:
        there = nitro_cli.enclaves(self._actions, "whether an enclave runs although nobody said so")
        return [
            one["EnclaveID"] for one in there if str(one.get("EnclaveName")).startswith(self._name)
        ]
