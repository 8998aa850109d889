"""Where vsock addresses are on this machine: Unix sockets in the fabric's folder.

An address (cid, port) that somebody bound is the socket `<folder>/<cid>_<port>.sock`. A socket that
dials without having been bound has an abstract name that says its address, which the kernel frees
with it. Nothing here knows system calls of the program.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simulator.interpose.files import is_bound

ANY = 0xFFFF_FFFF
"""VMADDR_CID_ANY and VMADDR_PORT_ANY (`uapi/linux/vm_sockets.h`)."""
LOCAL_CID = 1
"""VMADDR_CID_LOCAL: the machine itself (`uapi/linux/vm_sockets.h`)."""
PARENT_CID = 3
ENCLAVE_CID = 16
"""The first CID that nitro-cli gives out; who dials a parent without a name is taken to have it."""
LAST_RESERVED_PORT = 1023

Address = tuple[int, int]
"""(cid, port)."""

HEARTBEAT: Address = (PARENT_CID, 9000)
"""Where the init of an enclave reports that it lives (init.c)."""
HEARTBEAT_BYTE = b"\xb7"
"""What it sends there, and what it is answered."""

LONGEST_NAME = len("/4294967295_4294967295.sock")
PATH_MAX = 107
"""Bytes of a Unix socket's path on Linux, beside its NUL (unix(7))."""

_PORT_TRIES = 24
_PATH = re.compile(r"(?P<cid>[0-9]{1,10})_(?P<port>[0-9]{1,10})\.sock")
_NAME = re.compile(r"(?P<cid>[0-9]{1,10})/(?P<port>[0-9]{1,10})")
_LOCK = ".bind.lock"


class Places:
    """The addresses of one machine, CID `cid`, in one fabric."""

    def __init__(self, folder: Path, cid: int) -> None:
        self.cid = cid
        self._folder = folder
        status = folder.stat()
        self._prefix = f"\0attested-kms/{status.st_dev}.{status.st_ino}/"
        # The kernel's numbering starts anywhere too (`af_vsock.c`, __vsock_bind_connectible).
        self._next_port = LAST_RESERVED_PORT + 1 + secrets.randbelow(1 << 30)
        self._made: set[Path] = set()

    def path(self, cid: int, port: int) -> Path:
        """The socket of an address."""
        return self._folder / f"{cid}_{port}.sock"

    def is_own(self, cid: int) -> bool:
        """Whether `cid` is this machine."""
        return cid in (self.cid, LOCAL_CID)

    def reach(self, address: Address) -> str:
        """The path at which `address` is dialled from this machine."""
        cid, port = address
        # Made for every connection: text at once.
        return f"{self._folder}/{self.cid if cid == LOCAL_CID else cid}_{port}.sock"

    def bind(self, unix: socket.socket, port: int) -> int:
        """Bind a socket at `port` of this machine, or at a free one for ANY; returns the port.

        Raises OSError: EADDRINUSE, EADDRNOTAVAIL, and what the folder raises.
        """
        if port != ANY:
            self._bind_path(unix, self.path(self.cid, port))
            return port
        for free in self._free_ports():
            with suppress(FileExistsError):
                self._bind_path(unix, self.path(self.cid, free))
                return free
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    def name(self, unix: socket.socket) -> int:
        """Give a socket that dials a port; returns it. Raises OSError: EADDRNOTAVAIL."""
        for port in self._free_ports():
            with suppress(FileExistsError):
                _bind(unix, f"{self._prefix}{self.cid}/{port}")
                return port
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    def address_of(self, name: str | bytes) -> Address:
        """The address that a dialling socket's name says.

        Who has no name is a program beside the supervisor: the parent, or an enclave of the parent.
        """
        text = name if isinstance(name, str) else name.decode(errors="replace")
        match = (
            _NAME.fullmatch(text.removeprefix(self._prefix))
            if text.startswith(self._prefix)
            else _PATH.fullmatch(text.rpartition("/")[2])
        )
        if match is not None and max(address := (int(match["cid"]), int(match["port"]))) < ANY:
            return address
        return (ENCLAVE_CID if self.cid == PARENT_CID else PARENT_CID), next(self._free_ports())

    def clear(self) -> None:
        """Remove the sockets that were made here and that nobody has bound again."""
        self._remove_dead(self._made)

    def clear_after_another(self) -> None:
        """Remove this machine's dead sockets, whoever made them."""
        with suppress(OSError):
            self._remove_dead(set(self._folder.glob(f"{self.cid}_*.sock")))

    def _remove_dead(self, paths: set[Path]) -> None:
        with suppress(OSError):  # The folder may have gone, or be another's by now.
            if paths:
                with self._locked():
                    for path in paths:
                        if path.is_socket() and not is_bound(path):
                            path.unlink(missing_ok=True)

    def _free_ports(self) -> Iterator[int]:
        for _ in range(_PORT_TRIES):
            port = self._next_port
            self._next_port += 1
            if self._next_port >= ANY:
                self._next_port = LAST_RESERVED_PORT + 1
            yield port

    def _bind_path(self, unix: socket.socket, path: Path) -> None:
        try:
            _bind(unix, str(path))
        except FileExistsError:
            # What was closed leaves its file; only one supervisor at a time may clear it away.
            with self._locked():
                if path.exists():
                    if not path.is_socket() or is_bound(path):
                        raise
                    path.unlink()
                _bind(unix, str(path))
        self._made.add(path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _bind(unix: socket.socket, name: str) -> None:
    """Bind; raises FileExistsError where the name is taken."""
    try:
        unix.bind(name)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise FileExistsError(error.errno, error.strerror, name) from error
        raise
