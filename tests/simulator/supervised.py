"""Programs under the supervisor, for tests: started, waited for, their output kept."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from nsm_fake import EnclaveIdentity, NitroSecurityModule, NsmPki, system_clock
from simulator.interpose.plan import Role, Rung
from simulator.interpose.probe import probe
from simulator.interpose.run import Handle, Options, Run

SECONDS = 30.0
PYTHON = (sys.executable, "-I", "-S", "-c")
"""Nothing that a test's program needs is outside of the standard library."""

PRELUDE = '''
import ctypes, errno, fcntl, os, select, signal, socket, stat, struct, sys, threading, time

NSM = 0xC0200A00
DESCRIBE = b"\\x6bDescribeNSM"
kept = []

def address(content):
    kept.append(ctypes.create_string_buffer(content, len(content) or 1))
    return ctypes.addressof(kept[-1])

def ask(device, request, room=0x3000):
    answer = ctypes.create_string_buffer(room or 1)
    fields = address(request), len(request), ctypes.addressof(answer), room
    raw = bytearray(struct.pack("=QQQQ", *fields))
    fcntl.ioctl(device, NSM, raw, True)
    return answer.raw[: struct.unpack("=QQQQ", raw)[3]]

libc = ctypes.CDLL(None, use_errno=True)

def set_option(one, level, name, content):
    """socket.setsockopt of a vsock socket takes no bytes."""
    if libc.setsockopt(one.fileno(), level, name, content, len(content)):
        raise OSError(ctypes.get_errno(), "setsockopt")

def get_option(one, level, name, room):
    content, length = ctypes.create_string_buffer(room), ctypes.c_uint(room)
    if libc.getsockopt(one.fileno(), level, name, content, ctypes.byref(length)):
        raise OSError(ctypes.get_errno(), "getsockopt")
    return content.raw[: length.value]

def name_of(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "OK"
'''


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of a program."""

    code: int
    output: str
    errors: str
    counts: dict[str, int]

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


@pytest.fixture(params=list(Rung), ids=lambda rung: rung.name.lower())
def rung(request: pytest.FixtureRequest) -> Rung:
    """Each technique in turn."""
    chosen: Rung = request.param
    needs(chosen)
    return chosen


def needs(rung: Rung) -> None:
    """Skip the test where the technique does not work, with the reason."""
    reason = _probed().reasons[rung]
    if reason is not None:
        pytest.skip(f"{rung.value}: {reason}")


_probed = cache(probe)


def python(code: str) -> list[str]:
    """The command of a Python program with what such programs need at hand."""
    return [*PYTHON, PRELUDE + textwrap.dedent(code)]


def new_nsm() -> NitroSecurityModule:
    """An NSM under a PKI of its own."""
    return NitroSecurityModule(EnclaveIdentity.create(clock=system_clock), NsmPki(), system_clock)


def finish(
    program: list[str],
    fabric: Path,
    rung: Rung,
    *,
    handle: Handle | None = None,
    faults: tuple[str, ...] = (),
    cid: int = 16,
    role: Role = Role.ENCLAVE,
    verbose: bool = False,
    interruptible: bool = False,
) -> Finished:
    """Run a program to its end."""
    options = Options(
        fabric=fabric,
        rung=rung,
        faults=faults,
        cid=cid,
        role=role,
        verbose=verbose,
        interruptible=interruptible,
    )
    with TemporaryFile() as output, TemporaryFile() as errors:
        with Run(
            program, handle, options, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        ) as run:
            code = run.wait(SECONDS)
        output.seek(0)
        errors.seek(0)
        return Finished(code, output.read().decode(), errors.read().decode(), run.counts)
