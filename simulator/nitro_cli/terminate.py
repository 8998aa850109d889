"""`nitro-cli terminate-enclave`.

Source: aws-nitro-enclaves-cli v1.4.4, src/main.rs and src/lib.rs: `inferred`; an array of --all
since 1.4.3.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from simulator.nitro_cli.command_line import Given
from simulator.nitro_cli.enclaves import (
    DaemonFailed,
    Enclave,
    ask,
    find,
    id_of_name,
    listed,
    no_answers,
    pretty,
    shown_socket,
    stale,
)
from simulator.nitro_cli.rust_text import debug, quoted
from simulator.nitro_cli.session import Failed, Session, failed, within

_ACTION = "Terminate Enclave"


def run(session: Session, given: Given) -> int:
    """End one enclave, or all."""
    if "all" in given:
        _all(session)
        return 0
    with within("Failed to construct TerminateEnclave arguments", action=_ACTION):
        enclave_id = chosen(session, given)
    with within("Failed to connect to enclave process", action=_ACTION):
        enclave = find(session, enclave_id)
    session.info("src/main.rs:174", "Sent command: Terminate")
    ended = _terminate(session, enclave)
    if ended is None:
        session.say("Failed connections: 1")
        raise no_answers(1, "Failed to handle all enclave process replies", action=_ACTION)
    session.print(pretty(ended))
    return 0


def chosen(session: Session, given: Given) -> str:
    """The id of the enclave that the options name. Raises Failed."""
    name = given.text("enclave-name")
    if name is None:
        return given.text("enclave-id") or ""
    with within("Get ID by Name"):
        return id_of_name(session, name)


def _terminate(session: Session, enclave: Enclave) -> dict[str, Any] | None:
    """What the enclave's process answers, if it does."""
    try:
        ended: dict[str, Any] | None = ask(
            session, "terminate", {"enclave_id": enclave["EnclaveID"]}
        )
    except DaemonFailed as error:
        session.fail(error.failure.within(action=_ACTION))
        return None
    return ended


def _terminate_one(session: Session, enclave: Enclave) -> dict[str, Any] | None:
    """The same of several, one of which may have ended meanwhile."""
    try:
        return _terminate(session, enclave)
    except Failed:
        return None


def _all(session: Session) -> None:
    def unreadable(error: OSError) -> Failed:
        return failed(
            "E19",
            f"Error while accessing sockets directory: {debug(error)}",
            "src/lib.rs",
            441,
            (session.sockets.shown, "Read"),
        )

    action = "Terminate All Enclaves"
    with within("Failed to terminate all running enclaves", action=action):
        files = listed(session.sockets, unreadable)
    enclaves = ask(session, "describe")
    answers = [_terminate_one(session, enclave) for enclave in enclaves]
    ended = [answer for answer in answers if answer is not None]
    left = stale(session, files, enclaves)
    for file in left:
        shown = quoted(shown_socket(session, file.name))
        session.info("src/lib.rs:492", f"Deleting stale socket: {shown}")
        with suppress(OSError):
            file.unlink()
    without = len(answers) - len(ended) + len(left)
    if without:
        session.say(f"Failed connections: {without}")
    session.print(pretty(ended))
    if without:
        raise no_answers(
            without,
            "Failed to handle all enclave processes replies",
            "Failed to terminate all running enclaves",
            action=action,
        )
