"""The seccomp filter: which system calls stop at the supervisor, as a classic BPF program.

The layout of `struct seccomp_data` and the instructions are those of `uapi/linux/seccomp.h`,
`uapi/linux/filter.h` and `Documentation/userspace-api/seccomp_filter.rst`. A filter sees numbers
only, never the memory behind a pointer, so it lets go of as much as numbers can tell: each needless
stop costs some 20 us, each call that passes some 60 ns.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

from simulator.interpose.arch import Architecture

ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000
ERRNO = 0x00050000

AF_VSOCK = 40
SOL_SOCKET = 1
SO_DOMAIN = 39
GET_LOCAL_CID = 0x7B9
"""IOCTL_VM_SOCKETS_GET_LOCAL_CID (`uapi/linux/vm_sockets.h`)."""
NSM_IOCTL_TYPE = 0x0A
"""The type of the ioctls of `/dev/nsm` (`uapi/linux/nsm.h`)."""
PR_SET_DUMPABLE = 4

_LOAD = 0x20
_AND = 0x54
_EQUAL = 0x15
_ANY_BIT = 0x45
_RETURN = 0x06
_NUMBER_AT = 0
_ARCH_AT = 4
_ARGUMENTS_AT = 16


@dataclass(frozen=True, slots=True)
class Test:
    """Whether the low half of argument `argument`, masked, is `value`.

    Only the low half: callers sign-extend an `unsigned int`, and the kernel looks at no more.
    """

    argument: int
    value: int
    mask: int = 0xFFFF_FFFF


Condition = tuple[Test, ...]
"""All of its tests must hold."""


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value & 0xFFFF_FFFF)


def _test(test: Test, skip_if_false: int) -> bytes:
    """Go on if it holds, else skip so many bytes' worth of instructions."""
    program = _instruction(_LOAD, _ARGUMENTS_AT + 8 * test.argument)
    if test.mask != 0xFFFF_FFFF:
        program += _instruction(_AND, test.mask)
    return program + _instruction(_EQUAL, test.value, 0, skip_if_false // 8)


def _conjunction(condition: Condition) -> bytes:
    """Return NOTIFY if all tests hold, else fall through."""
    program = _instruction(_RETURN, NOTIFY)
    for test in reversed(condition):
        program = _test(test, len(program)) + program
    return program


def _rule(number: int, conditions: tuple[Condition, ...]) -> bytes:
    body = b"".join(_conjunction(condition) for condition in conditions)
    if () not in conditions:
        body += _instruction(_RETURN, ALLOW)
    return _instruction(_EQUAL, number, 0, len(body) // 8) + body


def supervising_filter(arch: Architecture, *, trap_open: bool) -> bytes:
    """The program, eight bytes an instruction.

    With `trap_open` files are opened under the supervisor's eyes, which needs no privileges; a
    program may then not hide its memory from it (PR_SET_DUMPABLE). io_uring makes connections that
    no filter sees, so that a program is told that the kernel has none.
    """
    calls = arch.calls
    always: tuple[Condition, ...] = ((),)
    rules: dict[int, tuple[Condition, ...]] = {
        calls.ioctl: (
            (Test(1, NSM_IOCTL_TYPE << 8, 0xFF00),),
            (Test(1, GET_LOCAL_CID),),
        ),
        calls.socket: ((Test(0, AF_VSOCK),),),
        calls.setsockopt: ((Test(1, AF_VSOCK),),),
        calls.getsockopt: (
            (Test(1, AF_VSOCK),),
            (Test(1, SOL_SOCKET), Test(2, SO_DOMAIN)),
        ),
        calls.io_uring_setup: always,
    }
    for number in (
        *(calls.connect, calls.bind, calls.accept, calls.accept4),
        *(calls.getsockname, calls.getpeername),
    ):
        rules[number] = always
    if trap_open:
        rules |= {n: always for n in (calls.open, calls.openat, calls.openat2) if n is not None}
        rules[calls.prctl] = ((Test(0, PR_SET_DUMPABLE), Test(1, 0)),)
    body = b"".join(_rule(number, conditions) for number, conditions in rules.items())
    head = _instruction(_LOAD, _ARCH_AT)
    # Calls of another ABI (i386) would pass by their numbers unseen: they are refused as a kernel
    # without that ABI refuses them.
    refuse = _instruction(_RETURN, ERRNO | errno.ENOSYS)
    head += _instruction(_EQUAL, arch.audit, 1, 0) + refuse
    head += _instruction(_LOAD, _NUMBER_AT)
    if arch.foreign_bit:
        head += _instruction(_ANY_BIT, arch.foreign_bit, 0, 1) + refuse
    return head + body + _instruction(_RETURN, ALLOW)
