"""What `/proc` tells of processes, their descriptors and the machine's Unix sockets (proc(5))."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

_NULL_DEVICE = os.makedev(1, 3)
_UNCONNECTED = b"01"
"""SS_UNCONNECTED (`uapi/linux/net.h`): also of what listens."""


def socket_inode(thread: int, descriptor: int) -> int | None:
    """The inode of the socket behind a descriptor of a thread; None if it is no socket.

    Raises PermissionError where the process has hidden itself, and OSError where it has gone.
    """
    try:
        target = os.readlink(f"/proc/{thread}/fd/{descriptor}")
    except FileNotFoundError:
        return None
    return int(target[8:-1]) if target.startswith("socket:[") else None


def is_stand_in(thread: int, descriptor: int) -> bool:
    """Whether a descriptor of a thread is open on the null device, our stand-in for devices."""
    try:
        status = os.stat(f"/proc/{thread}/fd/{descriptor}")
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL_DEVICE


def living_sockets() -> set[int]:
    """The inodes of all Unix sockets of this network namespace."""
    with open("/proc/net/unix", "rb") as table:
        next(table)
        return {int(line.split(None, 7)[6]) for line in table}


def is_bound(path: Path) -> bool:
    """Whether a living socket has this path, beside connections that were made to it."""
    wanted = os.fsencode(path)
    with open("/proc/net/unix", "rb") as table:
        rows = [line.rstrip(b"\n").split(None, 7) for line in table]
    # A connection has the path of its listener, and outlives it.
    names = {row[7] for row in rows if len(row) == 8 and row[5] == _UNCONNECTED}
    # Who bound it by another spelling of the path is found if it listens.
    return wanted in names or _answers(path)


def _answers(path: Path) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(path))
            except BlockingIOError:
                return True  # Its queue is full.
            except OSError:
                continue
            return True
    return False


def capabilities(thread: int) -> int:
    """The effective capabilities of a thread, as a mask (capabilities(7))."""
    return int(_status(thread)["CapEff"], 16)


def has_signal_waiting(thread: int) -> bool:
    """Whether a signal waits that the thread would take: not blocked, not ignored."""
    status = _status(thread)
    waiting = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
    return bool(waiting & ~int(status["SigBlk"], 16) & ~int(status["SigIgn"], 16))


def _status(thread: int) -> dict[str, str]:
    with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)


def children(process: int) -> Iterator[int]:
    """The processes whose parent is `process`."""
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and parent_of(int(entry)) == process:
            yield int(entry)


def parent_of(process: int) -> int | None:
    """The parent of a process; None where there is no such process."""
    try:
        with open(f"/proc/{process}/stat", "rb") as line:
            # The name, in parentheses, may hold anything.
            return int(line.read().rpartition(b")")[2].split()[1])
    except OSError:
        return None
