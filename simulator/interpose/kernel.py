"""The system calls that Python's standard library lacks, by ctypes; nothing here decides anything.

Sources: `uapi/linux/seccomp.h`, seccomp_unotify(2), pidfd_getfd(2), process_vm_readv(2),
user_namespaces(7), mount(2). Numbers of ioctls hold on every architecture of 64 bits.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

from simulator.interpose.arch import Architecture

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

RESTART = 512
"""ERESTARTSYS: the kernel delivers the pending signal, then restarts the call or gives EINTR."""

_SET_MODE_FILTER = 1
_FLAG_NEW_LISTENER = 8
_FLAG_WAIT_KILLABLE = 32

_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_ID_VALID = 0x40082102
_ADD_DESCRIPTOR = 0x40182103
_SET_FLAGS = 0x40082104
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_ADDITION = struct.Struct("=QIIII")
_COOKIE = struct.Struct("=Q")
_CONTINUE = 1
_ADD_AT = 1
_ADD_AND_SEND = 2
_SYNC_WAKE_UP = 1

_SET_NO_NEW_PRIVS = 38
_SET_PARENT_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36
_DROP_FROM_BOUNDING_SET = 24

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_PRIVATE = 1 << 18
_DETACH = 2

_AT_HERE = -100
"""AT_FDCWD."""
_AT_RECURSIVE = 0x8000
_CLONE_TREE = 1
_FROM_DESCRIPTOR = 0x4
_FOLLOW_TARGET = 0x10
_OPENAT2 = 437
"""On every architecture."""
_OPEN_HOW = struct.Struct("=QQQ")
_RESOLVE_IN_ROOT = 0x10


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def _prctl(option: int, value: int) -> None:
    arguments = [ctypes.c_ulong(number) for number in (option, value, 0, 0, 0)]
    if _libc.prctl(*arguments) != 0:
        raise _failed("prctl")


def no_new_privileges() -> None:
    """What a filter needs of a process without privileges: no set-user-ID program any more."""
    _prctl(_SET_NO_NEW_PRIVS, 1)


def die_with_parent(signal: int) -> None:
    """Get `signal` when the thread that forked this process ends."""
    _prctl(_SET_PARENT_DEATH_SIGNAL, signal)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` say (man page unshare, section 2). Raises OSError."""
    if _libc.unshare(flags) != 0:
        raise _failed("unshare")


def join(namespace: int, flag: int) -> None:
    """Enter the namespace of a descriptor, of the kind of the flag (setns(2)). Raises OSError."""
    if _libc.setns(namespace, flag) != 0:
        raise _failed("setns")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount something; empty texts stand for what is not given. Raises OSError."""
    encoded = [os.fsencode(text) or None for text in (source, target, kind)]
    if _libc.mount(*encoded, ctypes.c_ulong(flags), os.fsencode(data) or None) != 0:
        raise _failed(f"mount {target}")


def detach(target: str) -> None:
    """umount2(2) with MNT_DETACH. Raises OSError."""
    if _libc.umount2(os.fsencode(target), _DETACH) != 0:
        raise _failed(f"umount {target}")


def _system_call(name: str, number: int, *arguments: int | bytes) -> int:
    """One that libc may have no function for. Raises OSError."""
    passed = [
        ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_long(value)
        for value in arguments
    ]
    result: int = _libc.syscall(ctypes.c_long(number), *passed)
    if result < 0:
        raise _failed(name)
    return result


def take_mounts(arch: Architecture, path: str) -> int:
    """A copy of what is mounted at `path` and below, mounted nowhere (open_tree(2)).

    Raises OSError.
    """
    flags = _CLONE_TREE | _AT_RECURSIVE | os.O_CLOEXEC
    return _system_call("open_tree", arch.open_tree, _AT_HERE, os.fsencode(path), flags)


def put_mounts(arch: Architecture, mounts: int, path: str) -> None:
    """Mount at `path` what `take_mounts` gave, and close it. Raises OSError."""
    target, flags = os.fsencode(path), _FROM_DESCRIPTOR | _FOLLOW_TARGET
    try:
        _system_call("move_mount", arch.move_mount, mounts, b"", _AT_HERE, target, flags)
    finally:
        os.close(mounts)


def make_root(arch: Architecture, folder: str) -> None:
    """Make what is mounted at a folder all that this mount namespace has. Raises OSError."""
    os.chdir(folder)
    # Both the same: the old root is mounted over the new one, and goes (pivot_root(2), NOTES).
    _system_call("pivot_root", arch.pivot_root, b".", b".")
    detach(".")
    os.chdir("/")


def open_in_root(root: int, path: bytes) -> int:
    """A folder, found as if that of the descriptor `root` were `/` (openat2(2), Linux 5.6).

    Only a place to make and look for files in (O_PATH). Raises OSError.
    """
    how = _OPEN_HOW.pack(os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    return _system_call("openat2", _OPENAT2, root, path or b".", how, len(how))


def drop_for_ever(capability: int) -> None:
    """No program that this process becomes has the capability. Raises OSError."""
    _prctl(_DROP_FROM_BOUNDING_SET, capability)


def execute(path: bytes, arguments: Sequence[bytes], environment: Sequence[bytes]) -> NoReturn:
    """execve(2), with any environment: names twice, lines that are none. Raises OSError."""
    _libc.execve(path, _texts(arguments), _texts(environment))
    raise _failed("execve")


def _texts(values: Sequence[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (len(values) + 1))(*values, None)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install_filter(arch: Architecture, program: bytes, *, wait_killable: bool) -> int:
    """Put this process, and all that it becomes and forks, under `program`; returns the listener.

    With `wait_killable` (Linux 5.19) a call that the supervisor has taken up is interrupted by
    fatal signals only, as the NSM's ioctl is. Raises OSError: EBUSY under another listener, EINVAL
    where the kernel lacks a feature.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    description = _Program(len(program) // 8, ctypes.addressof(buffer))
    flags = _FLAG_NEW_LISTENER | (_FLAG_WAIT_KILLABLE if wait_killable else 0)
    listener: int = _libc.syscall(
        ctypes.c_long(arch.seccomp),
        ctypes.c_ulong(_SET_MODE_FILTER),
        ctypes.c_ulong(flags),
        ctypes.byref(description),
    )
    if listener < 0:
        raise _failed("seccomp")
    return listener


class Notification(NamedTuple):
    """One stopped system call: its cookie, the thread, the number, the arguments."""

    id: int
    thread: int
    number: int
    arguments: tuple[int, ...]


class Listener:
    """The supervisor's end of a filter."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # The program sleeps while we answer and we sleep while it runs: on one processor each goes
        # on at once, where a second one would have to be woken first. From Linux 6.6 on.
        with suppress(OSError):
            fcntl.ioctl(descriptor, _SET_FLAGS, _SYNC_WAKE_UP)
        self._buffer = bytearray(_NOTIFICATION.size)
        self._empty = bytes(_NOTIFICATION.size)

    def fileno(self) -> int:
        """For poll: readable with a notification, hung up when the last process has gone."""
        return self._descriptor

    def close(self) -> None:
        """Let go of it: traps answer ENOSYS from then on."""
        os.close(self._descriptor)

    def receive(self) -> Notification | None:
        """The next notification; None if its caller has been killed in the meantime."""
        self._buffer[:] = self._empty
        try:
            fcntl.ioctl(self._descriptor, _RECEIVE, self._buffer, True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        cookie, thread, _flags, number, _arch, _pointer, *arguments = _NOTIFICATION.unpack(
            self._buffer
        )
        return Notification(cookie, thread, number, tuple(arguments))

    def is_waiting(self, cookie: int) -> bool:
        """Whether the caller still waits, so that its thread id means what it meant."""
        try:
            fcntl.ioctl(self._descriptor, _ID_VALID, _COOKIE.pack(cookie))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def answer(self, cookie: int, value: int = 0) -> bool:
        """Let the call return `value`. False if nobody waits for it any more."""
        return self._send(_RESPONSE.pack(cookie, value, 0, 0))

    def fail(self, cookie: int, error: int) -> bool:
        """Let the call fail with the errno `error`. False if nobody waits for it any more."""
        return self._send(_RESPONSE.pack(cookie, 0, -error, 0))

    def let_through(self, cookie: int) -> None:
        """Let the kernel execute the call as it stands."""
        self._send(_RESPONSE.pack(cookie, 0, 0, _CONTINUE))

    def _send(self, response: bytes) -> bool:
        try:
            fcntl.ioctl(self._descriptor, _SEND, response)
        except OSError as error:
            if error.errno == errno.ENOENT:  # The caller was killed or interrupted.
                return False
            raise
        return True

    def give(
        self, cookie: int, descriptor: int, *, close_on_exec: bool, place: int | None = None
    ) -> bool:
        """Put a copy of `descriptor` into the caller and let the call return its number.

        With `place` it is that number, whatever it was before. Returns whether the caller was there
        to take it. Raises OSError, EMFILE among others, when it cannot: then the call still waits.
        """
        flags = _ADD_AND_SEND if place is None else _ADD_AND_SEND | _ADD_AT
        return self._add(cookie, descriptor, flags, place or 0, close_on_exec) is not None

    def reserve(self, cookie: int, descriptor: int) -> int | None:
        """Put a copy of `descriptor` into the caller, whose call goes on waiting; its number.

        None if the caller has gone. Raises OSError, EMFILE among others.
        """
        return self._add(cookie, descriptor, 0, 0, close_on_exec=True)

    def _add(
        self, cookie: int, descriptor: int, how: int, place: int, close_on_exec: bool
    ) -> int | None:
        flags = os.O_CLOEXEC if close_on_exec else 0
        addition = _ADDITION.pack(cookie, how, descriptor, place, flags)
        try:
            # The number comes as the ioctl's result, which Python gives for numbers and buffers.
            return int(fcntl.ioctl(self._descriptor, _ADD_DESCRIPTOR, bytearray(addition), True))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise


if sys.platform == "linux":  # Elsewhere this module is imported, and nothing of it used.
    for _call in (_libc.process_vm_readv, _libc.process_vm_writev):
        _call.argtypes = [
            *(ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong),
            *(ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong),
        ]
        _call.restype = ctypes.c_ssize_t

_VECTOR = struct.Struct("=QQ")
"""struct iovec: address, length."""
_ROOM = 1 << 14
_MOST_PIECES = 2
# What is read from other processes, or written into them, and the vectors that say where it is,
# ours first. Made once: ctypes makes a type for each buffer, which takes longer than the call. So
# one thread at a time.
_buffer = ctypes.create_string_buffer(_ROOM)
_content = memoryview(_buffer).cast("B")
_vectors = ctypes.create_string_buffer(_VECTOR.size * (1 + _MOST_PIECES))
_buffer_at = ctypes.addressof(_buffer)
_ours = ctypes.addressof(_vectors)
_theirs = _ours + _VECTOR.size


def read_memory(thread: int, address: int, length: int) -> bytes:
    """`length` bytes of another process, at most 16,384. Raises OSError: EFAULT, ESRCH, EPERM."""
    _VECTOR.pack_into(_vectors, 0, _buffer_at, min(length, _ROOM))
    _VECTOR.pack_into(_vectors, _VECTOR.size, address, length)
    count = _libc.process_vm_readv(thread, _ours, 1, _theirs, 1, 0)
    if count != length:
        raise _not_moved(count)
    return bytes(_content[:length])


def write_memory(thread: int, *pieces: tuple[int, bytes]) -> None:
    """Write into another process: at each address what is to stand there, in this order.

    At most two pieces, 16,384 bytes together. Raises OSError: EFAULT, ESRCH, EPERM.
    """
    length = 0
    for number, (address, piece) in enumerate(pieces, 1):
        _VECTOR.pack_into(_vectors, number * _VECTOR.size, address, len(piece))
        _content[length : length + len(piece)] = piece
        length += len(piece)
    _VECTOR.pack_into(_vectors, 0, _buffer_at, length)
    count = _libc.process_vm_writev(thread, _ours, 1, _theirs, len(pieces), 0)
    if count != length:
        raise _not_moved(count)


def _not_moved(count: int) -> OSError:
    """Why so many bytes were read or written, and not all."""
    if count < 0:
        return _failed("process_vm_readv or process_vm_writev")
    return OSError(errno.EFAULT, os.strerror(errno.EFAULT))


_PAGE = 4096


def read_text(thread: int, address: int, limit: int) -> bytes:
    """The text at `address` up to its NUL, at most `limit` bytes of it. Raises OSError.

    What lies beyond the page on which it ends may not exist, and is not read.
    """
    text = b""
    while len(text) < limit:
        length = min(limit - len(text), _PAGE - (address + len(text)) % _PAGE)
        text += read_memory(thread, address + len(text), length)
        if b"\0" in text:
            return text[: text.index(b"\0")]
    return text


def take_descriptor(arch: Architecture, thread: int, descriptor: int) -> int:
    """A copy of another process's descriptor: the same open file. Raises OSError."""
    process = _process_descriptor(thread)
    try:
        copy: int = _libc.syscall(
            ctypes.c_long(arch.pidfd_getfd),
            ctypes.c_long(process),
            ctypes.c_long(descriptor),
            ctypes.c_long(0),
        )
        if copy < 0:
            raise _failed("pidfd_getfd")
        return copy
    finally:
        os.close(process)


def _process_descriptor(thread: int) -> int:
    """A pidfd by which the descriptors of `thread` can be taken."""
    try:
        return os.pidfd_open(thread, os.O_EXCL)  # PIDFD_THREAD, Linux 6.9.
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return os.pidfd_open(process_of(thread))


def process_of(thread: int) -> int:
    """The process of a thread. Raises OSError where it has gone."""
    with open(f"/proc/{thread}/status", "rb") as status:
        for line in status:
            if line.startswith(b"Tgid:"):
                return int(line.split()[1])
    raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))


_SIGNAL_SET_BYTES = 128
_SIGNAL = struct.Struct("=Iii116x")


def signal_descriptor(signals: Iterable[int]) -> int:
    """A descriptor that is readable when one of these blocked signals waits (signalfd(2))."""
    mask = sum(1 << (number - 1) for number in signals)
    descriptor: int = _libc.signalfd(-1, mask.to_bytes(_SIGNAL_SET_BYTES, "little"), os.O_CLOEXEC)
    if descriptor < 0:
        raise _failed("signalfd")
    return descriptor


def read_signal(descriptor: int) -> tuple[int, int]:
    """The number and the si_code of a signal."""
    number, _error, code = _SIGNAL.unpack(os.read(descriptor, _SIGNAL.size))
    return number, code
