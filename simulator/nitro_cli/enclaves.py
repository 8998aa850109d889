"""The enclaves of the machine as the command finds them: one socket each in /run/nitro_enclaves.

The sockets' answers are the broker's. Source: aws-nitro-enclaves-cli v1.4.4, src/common/mod.rs and
enclave_proc_comm.rs: `inferred`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from errno import ENOENT
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
        listed(session.sockets, _unreadable)
    enclaves: list[Enclave] = ask(session, "describe")
    for enclave in enclaves:
        socket = session.sockets.shown.rstrip("/") + f"/{slot(enclave['EnclaveID'])}.sock"
        session.info(f"{COMMUNICATION}:100", f"Connected to: {socket}")
    return enclaves


def listed(folder: Place, refusal: Callable[[OSError], Failed]) -> None:
    """Look into the folder of sockets. Raises Failed."""
    try:
        next(folder.actual.iterdir(), None)
    except OSError as error:
        raise refusal(error) from error


def _unreadable(error: OSError) -> Failed:
    return failed("E07", f"Failed to access sockets directory: {debug(error)}", COMMUNICATION, 79)


def slot(enclave_id: str) -> str:
    """The part of an id that names the socket; all of it where there is no `-enc`."""
    return enclave_id.rpartition("-enc")[2]


def find(session: Session, enclave_id: str) -> Enclave:
    """The enclave of an id. Raises Failed, as for a socket that is not there."""
    for enclave in ask(session, "describe"):
        # with_extension() replaces what follows the last dot of a name.
        if slot(enclave["EnclaveID"]) == os.path.splitext(slot(enclave_id))[0]:  # noqa: PTH122
            found: Enclave = enclave
            return found
    missing = OSError(ENOENT, "")
    raise failed(
        "E11",
        f"Failed to connect to specific enclave process: {debug(missing)}",
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
