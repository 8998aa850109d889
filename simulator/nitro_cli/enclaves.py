"""The enclaves of the machine as the command finds them: one socket each in /run/nitro_enclaves.

The sockets' answers are the broker's. Source: aws-nitro-enclaves-cli v1.4.4, src/common/mod.rs and
enclave_proc_comm.rs: `inferred`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from errno import ECONNREFUSED, ENOENT
from pathlib import Path
from typing import Any

from simulator.nitro_cli.connection import request
from simulator.nitro_cli.failure import Failure
from simulator.nitro_cli.rust_text import debug
from simulator.nitro_cli.session import Failed, Place, Session, failed, within

COMMUNICATION = "src/enclave_proc_comm.rs"

Enclave = Mapping[str, Any]
"""An enclave as describe-enclaves --metadata prints it."""


class DaemonFailed(Exception):
    """The process of an enclave fails: it says so itself, and the command finds no answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


def ask(session: Session, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """The broker's answer; what it says goes to standard error. Raises DaemonFailed, Failed."""
    answer = None
    for message in request(session.folder, command, arguments):
        match message:
            case {"say": str(text)}:
                session.say(text)
            case {"notice": str(text)}:
                session.notice(text)
            case {"warning": str(text)}:
                session.warn(text)
            case {"failed": members}:
                failure = Failure.from_json(members)
                # What the command itself would find: the enclave has ended meanwhile.
                raise (Failed if failure.file == COMMUNICATION else DaemonFailed)(failure)
            case {"answer": answer}:
                pass
    return answer


def no_answers(count: int, *subactions: str, action: str) -> Failed:
    """The failure of a command that has no answer of so many enclave processes."""
    found = failed("E39", f"Failed to connect to {count} enclave processes", COMMUNICATION, 358)
    return Failed(found.failure.within(*subactions, action=action))


def all_enclaves(session: Session, asked: str) -> list[Enclave]:
    """The enclaves that answer the command which is called `asked`. Raises Failed."""
    with within(
        "Failed to send command to all enclave processes",
        f"Failed to send {asked} command to all enclave processes",
    ):
        files = listed(session.sockets, _unreadable)
    enclaves: list[Enclave] = ask(session, "describe")
    _connect(session, files, enclaves)
    return enclaves


def _connect(session: Session, files: Iterable[Path], enclaves: Iterable[Enclave]) -> None:
    """Log the connections to all, and delete the sockets at which nobody answers."""
    for enclave in enclaves:
        socket = shown_socket(session, f"{slot(enclave['EnclaveID'])}.sock")
        session.info(f"{COMMUNICATION}:100", f"Connected to: {socket}")
    for file in stale(session, files, enclaves):
        if file.suffix == ".sock" and not file.is_dir():
            shown = shown_socket(session, file.name)
            session.info(f"{COMMUNICATION}:109", f"Deleting stale socket: {shown}")
            with suppress(OSError):
                file.unlink()


def listed(folder: Place, refusal: Callable[[OSError], Failed]) -> list[Path]:
    """What is in the folder of sockets. Raises Failed."""
    try:
        return sorted(folder.actual.iterdir())
    except OSError as error:
        raise refusal(error) from error


def stale(session: Session, files: Iterable[Path], enclaves: Iterable[Enclave]) -> list[Path]:
    """Those at which nobody answers: what an enclave's process that was killed has left.

    The files were listed before the enclaves were asked for. In a folder that the environment names
    there are no sockets of this machine, so that none is stale.
    """
    if not session.has_own_sockets:
        return []
    alive = {f"{slot(enclave['EnclaveID'])}.sock" for enclave in enclaves}
    return [file for file in files if file.name not in alive]


def shown_socket(session: Session, name: str) -> str:
    """The path of a socket, as messages have it."""
    return f"{session.sockets.shown.rstrip('/')}/{name}"


def _unreadable(error: OSError) -> Failed:
    return failed("E07", f"Failed to access sockets directory: {debug(error)}", COMMUNICATION, 79)


def slot(enclave_id: str) -> str:
    """The part of an id that names the socket; all of it where there is no `-enc`."""
    return enclave_id.rpartition("-enc")[2]


def find(session: Session, enclave_id: str) -> Enclave:
    """The enclave of an id. Raises Failed, as for a socket that is not there."""
    # with_extension() replaces what follows the last dot of a name.
    name = os.path.splitext(slot(enclave_id))[0]  # noqa: PTH122
    for enclave in ask(session, "describe"):
        if slot(enclave["EnclaveID"]) == name:
            found: Enclave = enclave
            return found
    is_stale = session.has_own_sockets and (session.sockets.actual / f"{name}.sock").exists()
    refused = OSError(ECONNREFUSED if is_stale else ENOENT, "")
    raise failed(
        "E11",
        f"Failed to connect to specific enclave process: {debug(refused)}",
        COMMUNICATION,
        134,
    )


def id_of_name(session: Session, name: str) -> str:
    """The id of the only enclave that has the name. Raises Failed."""
    with within(action="Get Enclave Names"):
        enclaves = all_enclaves(session, "GetIDbyName")
    ids = [str(enclave["EnclaveID"]) for enclave in enclaves if enclave["EnclaveName"] == name]
    if len(ids) != 1:
        said = "Conflicting enclave names have been found."
        raise failed(
            "E58", said if ids else "No enclave matched the given name.", "src/lib.rs", 547
        )
    return ids[0]


def pretty(value: Any) -> str:
    """JSON as serde_json prints it for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)
