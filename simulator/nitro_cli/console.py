"""`nitro-cli console`, and the console that run-enclave attaches to.

A console that ends while its enclave runs ends the command with 0, as a vsock's peer that shuts
down would; when the enclave has ended (which is how bug 1 of the field notes shows), reading fails
with ENOTCONN and the command with E45. Which of the two it is, the broker is asked.

Source: aws-nitro-enclaves-cli v1.4.4, src/main.rs, src/lib.rs, src/utils.rs: `inferred`; E45 with
ENOTCONN is in public transcripts: `reported`.
"""

from __future__ import annotations

import select
import socket
import time

from simulator.nitro_cli.command_line import Given
from simulator.nitro_cli.enclaves import Enclave, ask, find
from simulator.nitro_cli.numbers import NotANumber, unsigned
from simulator.nitro_cli.rust_text import debug
from simulator.nitro_cli.session import Failed, Session, failed, within, write_bytes
from simulator.nitro_cli.terminate import chosen

_ACTION = "Enclave Console"
_U64_MAX = (1 << 64) - 1
_LONGEST_TIMER = (1 << 63) - 1
_AT_MOST = 1e6
"""Seconds to wait at once: poll(2) has milliseconds in 32 bits."""
_CONNECT_SECONDS = 20.0
_ENDS_WITHIN_SECONDS = 0.5
_PAUSE_SECONDS = 0.01
_AT_ONCE = 1 << 10
_STDOUT = 1
_FAILED = "Failed to connect to enclave console"


def run(session: Session, given: Given) -> int:
    """Show the console of an enclave that runs in debug mode."""
    with within("Failed to construct Console arguments", action=_ACTION):
        enclave_id = chosen(session, given)
        with within("Parse disconnect timeout"):
            seconds = _seconds(given)
    with (
        within(action=_ACTION),
        within("Failed to connect to enclave process", "Failed to retrieve enclave CID"),
    ):
        enclave = find(session, enclave_id)
    session.info("src/enclave_proc_comm.rs:379", "Sent command: GetEnclaveCID")
    session.info("src/enclave_proc_comm.rs:406", "Sent command: GetEnclaveFlags")
    if enclave["Flags"] != "DEBUG_MODE":
        with within(_FAILED, action=_ACTION):
            raise failed(
                "E44",
                "The enclave was not started with the debug flag set, include '--debug-mode' in "
                "the run-enclave command",
                "src/main.rs",
                263,
            )
    return attach(session, enclave, seconds)


def _seconds(given: Given) -> int | None:
    text = given.text("disconnect-timeout")
    if text is None:
        return None
    try:
        return unsigned(text, _U64_MAX)
    except NotANumber as error:
        raise failed(
            "E03",
            "`disconnect-timeout` argument can't be parsed as a number",
            "src/common/commands_parser.rs",
            469,
            ("disconnect-timeout", text),
        ) from error


def attach(session: Session, enclave: Enclave, seconds: int | None) -> int:
    """Show the console of an enclave, for so many seconds. Raises Failed."""
    cid = enclave["EnclaveCID"]
    session.print(f"Connecting to the console for enclave {cid}...")
    with within("Connect to enclave console", _FAILED, action=_ACTION):
        with _connected(session, cid) as console:
            session.print("Successfully connected to the console.")
            ended = _show(console, _deadline(seconds))
        if ended and not _runs(session, enclave):
            raise _not_connected()
    return 0


def _deadline(seconds: int | None) -> float | None:
    """When to leave it, if ever: a timer that is set to 0 never rings (timerfd_settime(2))."""
    if seconds is not None and seconds > _LONGEST_TIMER:
        raise failed("E12", "Failed to arm timerfd: Error(22)", "src/utils.rs", 187)
    return time.monotonic() + seconds if seconds else None


def _runs(session: Session, enclave: Enclave) -> bool:
    """Whether the enclave goes on; the broker may hear of its end a little after its console."""
    deadline = time.monotonic() + _ENDS_WITHIN_SECONDS
    while any(
        other["EnclaveID"] == enclave["EnclaveID"] and other["State"] == "RUNNING"
        for other in ask(session, "describe")
    ):
        if time.monotonic() > deadline:
            return True
        time.sleep(_PAUSE_SECONDS)
    return False


def _not_connected() -> Failed:
    return failed("E45", "Failed to read data from the console: ENOTCONN", "src/utils.rs", 229)


def _connected(session: Session, cid: int) -> socket.socket:
    console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    console.settimeout(_CONNECT_SECONDS)
    try:
        console.connect(str(session.folder.console(cid)))
    except OSError as error:
        console.close()
        # Nobody at a vsock address is answered by a reset.
        raise failed(
            "E44", "Failed to connect to the console: ECONNRESET", "src/utils.rs", 83
        ) from error
    console.settimeout(None)
    return console


def _show(console: socket.socket, deadline: float | None) -> bool:
    """Copy it to standard output until it ends (which is True) or the time is over."""
    poll = select.poll()
    poll.register(console, select.POLLIN)
    while True:
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not poll.poll(None if remaining is None else min(remaining, _AT_MOST) * 1000):
            if remaining is not None and remaining > _AT_MOST:
                continue
            return False
        try:
            data = console.recv(_AT_ONCE)
        except ConnectionError as error:
            raise _not_connected() from error
        if not data:
            return True
        try:
            write_bytes(_STDOUT, data)
        except OSError as error:
            raise failed(
                "E46",
                f"Failed to write data from the console to the given stream: {debug(error)}",
                "src/utils.rs",
                241,
            ) from error
