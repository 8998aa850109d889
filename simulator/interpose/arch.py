"""What differs between processor architectures: the numbers of system calls, and seccomp's name.

From the kernel's `arch/x86/entry/syscalls/syscall_64.tbl` and `uapi/linux/audit.h`. Another
architecture is another `Architecture`, with None where it lacks a call (arm64 has no `open`).
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Calls:
    """The numbers of the system calls that are trapped; None for one that does not exist."""

    ioctl: int
    socket: int
    connect: int
    accept: int
    accept4: int
    bind: int
    getsockname: int
    getpeername: int
    setsockopt: int
    getsockopt: int
    open: int | None
    openat: int
    openat2: int
    prctl: int
    io_uring_setup: int

    def named(self) -> dict[int, str]:
        """The name of each number."""
        numbers = {field.name: getattr(self, field.name) for field in fields(self)}
        return {number: name for name, number in numbers.items() if number is not None}


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture. `foreign_bit` marks calls of a second ABI of the same audit number."""

    machine: str
    audit: int
    seccomp: int
    pidfd_getfd: int
    pivot_root: int
    open_tree: int
    move_mount: int
    calls: Calls
    foreign_bit: int = 0


X86_64 = Architecture(
    machine="x86_64",
    audit=0xC000003E,
    seccomp=317,
    pidfd_getfd=438,
    pivot_root=155,
    open_tree=428,
    move_mount=429,
    calls=Calls(
        ioctl=16,
        socket=41,
        connect=42,
        accept=43,
        accept4=288,
        bind=49,
        getsockname=51,
        getpeername=52,
        setsockopt=54,
        getsockopt=55,
        open=2,
        openat=257,
        openat2=437,
        prctl=157,
        io_uring_setup=425,
    ),
    # x32 programs: no distribution's enclave is one, and their calls are refused.
    foreign_bit=0x40000000,
)

_KNOWN = {X86_64.machine: X86_64}


def this_architecture() -> Architecture | None:
    """That of this machine; None where it is not supported."""
    return _KNOWN.get(platform.machine())


SUPPORTED = tuple(_KNOWN)
