"""A stopped system call as its handler sees it: arguments, the caller's memory, the answer."""

from __future__ import annotations

import errno
import os
import struct

from simulator.interpose.arch import Architecture
from simulator.interpose.files import socket_inode
from simulator.interpose.kernel import (
    Listener,
    Notification,
    read_memory,
    read_text,
    take_descriptor,
    write_memory,
)

_INT = struct.Struct("=i")


class Refused(Exception):
    """What a handler raises to let the call fail with `errno`."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.errno = number


class CallerGone(Exception):
    """The caller was killed; nothing is to be answered."""


class Trap:
    """One stopped call. Exactly one of `answer`, `fail`, `let_through` and `give` ends it.

    What looks at the caller raises OSError: EFAULT as the kernel would, EPERM or EACCES where the
    caller has hidden itself, and CallerGone where there is nobody any more.
    """

    __slots__ = ("_arch", "_listener", "arguments", "id", "name", "thread")

    def __init__(
        self, listener: Listener, arch: Architecture, name: str, notification: Notification
    ) -> None:
        self._listener = listener
        self._arch = arch
        self.name = name
        self.id = notification.id
        self.thread = notification.thread
        self.arguments = notification.arguments

    def unsigned(self, index: int) -> int:
        """An argument of 32 bits without sign."""
        return self.arguments[index] & 0xFFFF_FFFF

    def signed(self, index: int) -> int:
        """An argument of 32 bits with sign: a descriptor, a length."""
        value = self.unsigned(index)
        return value - (1 << 32) if value >> 31 else value

    def is_waiting(self) -> bool:
        """Whether the caller still waits."""
        return self._listener.is_waiting(self.id)

    def read(self, address: int, length: int) -> bytes:
        """Memory of the caller."""
        content = self.peek(address, length)
        self._check()
        return content

    def peek(self, address: int, length: int) -> bytes:
        """The same where `is_waiting` is asked later, before anything is done with it."""
        return read_memory(self.thread, address, length)

    def read_int(self, address: int) -> int:
        """A C int of the caller's."""
        value: int = _INT.unpack(self.read(address, _INT.size))[0]
        return value

    def read_text(self, address: int, limit: int) -> bytes:
        """A text of the caller's up to its NUL, or its first `limit` bytes."""
        text = read_text(self.thread, address, limit)
        self._check()
        return text

    def write(self, *pieces: tuple[int, bytes]) -> None:
        """Write into the caller's memory, at each address what is to stand there."""
        self._check()
        write_memory(self.thread, *pieces)

    def _check(self) -> None:
        # A thread id is another's once its thread has been killed (seccomp_unotify(2)).
        if not self.is_waiting():
            raise CallerGone

    def inode(self) -> int | None:
        """The inode of the socket that the first argument names; None for anything else."""
        return socket_inode(self.thread, self.signed(0))

    def take(self) -> int:
        """A copy of the descriptor that the first argument names."""
        copy = take_descriptor(self._arch, self.thread, self.signed(0))
        if not self.is_waiting():
            os.close(copy)
            raise CallerGone
        return copy

    def answer(self, value: int = 0) -> bool:
        """The call returns `value`. False if nobody waits for it any more."""
        return self._listener.answer(self.id, value)

    def fail(self, number: int) -> bool:
        """The call fails with errno `number`. False if nobody waits for it any more."""
        return self._listener.fail(self.id, number)

    def let_through(self) -> None:
        """The kernel does what the call says."""
        self._listener.let_through(self.id)

    def give(self, descriptor: int, *, close_on_exec: bool, place: int | None = None) -> bool:
        """The call returns a copy of `descriptor`. False if nobody was there to take it.

        Raises OSError, EMFILE among others; then the call still waits.
        """
        return self._listener.give(self.id, descriptor, close_on_exec=close_on_exec, place=place)

    def reserve(self, descriptor: int) -> int:
        """A place for `give`, at which a copy of `descriptor` is until then.

        Raises OSError, EMFILE among others.
        """
        place = self._listener.reserve(self.id, descriptor)
        if place is None:
            raise CallerGone
        return place


def is_hidden(error: OSError) -> bool:
    """Whether an error means that a process keeps its memory and descriptors from us."""
    return error.errno in (errno.EPERM, errno.EACCES)
