"""AF_VSOCK as a program sees it, over Unix sockets that the kernel itself connects.

A vsock socket of the program is a Unix socket that the supervisor made; once it is connected the
supervisor has no part in the data. Order and numbers of errors are those of
`net/vmw_vsock/af_vsock.c` and `virtio_transport_common.c`; that nobody listening means ECONNRESET
was seen on real guests (reported), also where only the queue is full (virtio_transport_recv_listen,
documented). What a hypervisor answers for a CID that does not exist is not known: the same here
(inferred).

A socket is known by its inode, so that dup, fork, exec, threads and passing of descriptors need
nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.interpose.bpf import AF_VSOCK
from simulator.interpose.cut import cut_connection, reset_by_nobody
from simulator.interpose.faults import Breakage, Faults
from simulator.interpose.files import capabilities, has_signal_waiting, living_sockets
from simulator.interpose.kernel import RESTART
from simulator.interpose.options import LONGEST, Options
from simulator.interpose.places import ANY, LAST_RESERVED_PORT, Address, Places
from simulator.interpose.sockaddr import (
    check_room,
    parse_address,
    read_address,
    read_sockaddr,
    write_address,
)
from simulator.interpose.trap import CallerGone, Refused, Trap
from simulator.interpose.unix_sockets import (
    is_readable,
    is_shut_down,
    never_blocking,
    receive_timeout,
    status_flags,
    woken,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.interpose.loop import Loop

_NOT_BOUND: Address = (ANY, ANY)
_CAN_BIND_RESERVED = 1 << 10
"""CAP_NET_BIND_SERVICE (capabilities(7))."""
_SWEEP_SECONDS = 0.1
"""How often it is looked whether somebody who waits in accept has a signal or is gone."""
_FEWEST_TO_SWEEP = 256


@dataclass(slots=True, eq=False)
class Vsock:
    """What the kernel would keep of a vsock socket."""

    kind: int
    local: Address = _NOT_BOUND
    peer: Address | None = None
    """Whom it is connected to."""
    has_port: bool = False
    """Whether its program bound it."""
    options: Options = field(default_factory=Options)
    accepted: list[socket.socket] = field(default_factory=list)
    """Connections of a listener whose takers were gone."""


class _NobodyYet(Exception):
    """There is no connection to accept."""


class VsockCalls:
    """The calls of one machine's programs."""

    def __init__(
        self,
        places: Places,
        loop: Loop,
        faults: Faults,
        *,
        complain: Callable[[str], None],
        is_parent: bool,
    ) -> None:
        self.faults = faults
        self.heartbeat: Address | None = None
        """The address at which the next connection is answered as nitro-cli answers a boot."""
        self._places = places
        self._loop = loop
        self._complain = complain
        self._is_parent = is_parent
        self._sockets: dict[int, Vsock] = {}
        self._sweep_at = _FEWEST_TO_SWEEP
        self._waiting: dict[int, _Waiting] = {}
        self._sweeping = False

    def handlers(self) -> dict[str, Callable[[Trap], None]]:
        """By the name of the system call."""
        return {
            "socket": self._socket,
            "bind": self._bind,
            "connect": self._connect,
            "accept": self._accept,
            "accept4": self._accept,
            "getsockname": self._getsockname,
            "getpeername": self._getpeername,
            "setsockopt": self._setsockopt,
            "getsockopt": self._getsockopt,
        }

    def close(self) -> None:
        """Let go of everything and clear the folder."""
        for waiting in list(self._waiting.values()):
            self._stop_waiting(waiting)
        for vsock in self._sockets.values():
            for connection in vsock.accepted:
                connection.close()
        self._places.clear()

    # The table of sockets

    def _known(self, trap: Trap) -> Vsock | None:
        """The vsock socket that the call is about; if it is none, the call goes to the kernel."""
        inode = trap.inode()
        vsock = None if inode is None else self._sockets.get(inode)
        if vsock is None:
            trap.let_through()
        return vsock

    def _learn(self, unix: socket.socket, vsock: Vsock) -> None:
        if len(self._sockets) >= self._sweep_at:
            # Nothing tells when a socket is closed; without this a program's thousands would add.
            alive = living_sockets()
            self._sockets = {n: known for n, known in self._sockets.items() if n in alive}
            self._sweep_at = max(_FEWEST_TO_SWEEP, 2 * len(self._sockets))
        self._sockets[os.fstat(unix.fileno()).st_ino] = vsock

    def _socket(self, trap: Trap) -> None:
        kind = trap.unsigned(1) & 0xF
        flags = trap.unsigned(1) & ~0xF
        if flags & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC):
            raise Refused(errno.EINVAL)
        if trap.unsigned(2) not in (0, AF_VSOCK):
            raise Refused(errno.EPROTONOSUPPORT)
        if kind == socket.SOCK_DGRAM:
            raise Refused(errno.ENODEV)  # No transport of a guest carries datagrams.
        if kind not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            raise Refused(errno.ESOCKTNOSUPPORT)
        with socket.socket(socket.AF_UNIX, kind | flags & socket.SOCK_NONBLOCK) as unix:
            self._learn(unix, Vsock(kind))
            trap.give(unix.fileno(), close_on_exec=bool(flags & socket.SOCK_CLOEXEC))

    def _bind(self, trap: Trap) -> None:
        vsock = self._known(trap)
        if vsock is None:
            return
        cid, port = read_address(trap)
        if vsock.local != _NOT_BOUND:
            raise Refused(errno.EINVAL)
        if cid != ANY and not self._places.is_own(cid):
            raise Refused(errno.EADDRNOTAVAIL)
        if port <= LAST_RESERVED_PORT and not self._may_bind_reserved(trap):
            raise Refused(errno.EACCES)
        if self._is_dialled_from(port):
            raise Refused(errno.EADDRINUSE)
        with _copy_of(trap, vsock) as unix:
            try:
                port = self._places.bind(unix, port)
            except FileExistsError:
                raise Refused(errno.EADDRINUSE) from None
            except OSError as error:
                self._complain(f"cannot make the socket of port {port} in the fabric: {error}")
                raise Refused(error.errno or errno.EIO) from error
        vsock.local = cid, port
        vsock.has_port = True
        trap.answer()

    def _is_dialled_from(self, port: int) -> bool:
        """Whether a connected socket was bound at this port: its path may be taken by then."""
        holders = {
            inode
            for inode, vsock in self._sockets.items()
            if vsock.has_port and vsock.local[1] == port and vsock.peer is not None
        }
        return bool(holders) and not holders.isdisjoint(living_sockets())

    def _may_bind_reserved(self, trap: Trap) -> bool:
        # In an enclave the program is root; here it may have been started by anybody.
        return not self._is_parent or bool(capabilities(trap.thread) & _CAN_BIND_RESERVED)

    def _connect(self, trap: Trap) -> None:
        vsock = self._known(trap)
        if vsock is None:
            return
        content = read_sockaddr(trap)
        if vsock.peer is not None:
            raise Refused(errno.EISCONN)
        with _copy_of(trap, vsock) as unix:
            if unix.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise Refused(errno.EINVAL)
            address = parse_address(content)
            delay = self.faults.of(*address).delay_seconds
            if not delay:
                self._dial(trap, vsock, unix, address)
                return
            patient = unix.dup()
        self._loop.later(delay, lambda: self._dial_late(trap, vsock, patient, address))

    def _dial_late(self, trap: Trap, vsock: Vsock, unix: socket.socket, address: Address) -> None:
        with unix:
            if not trap.is_waiting():
                return
            try:
                self._dial(trap, vsock, unix, address)
            except CallerGone:
                return
            except (Refused, OSError) as error:
                trap.fail(error.errno or errno.EIO)

    def _dial(self, trap: Trap, vsock: Vsock, unix: socket.socket, address: Address) -> None:
        if vsock.local == _NOT_BOUND:
            vsock.local = ANY, self._places.name(unix)
        flags = status_flags(unix)
        blocking = not flags & os.O_NONBLOCK
        # A full queue must not hold up everybody else's calls.
        with never_blocking(unix, flags):
            reached = self._reach(unix, address)
        if reached:
            vsock.peer = address
        if not blocking:
            if not reached:
                # Before the answer: until it is reset it looks connected, to tokio-vsock for one.
                reset_by_nobody(unix)
            # Never at once: the answer of a machine beyond takes its time (vsock_connect), and
            # comes as an edge, for which a program with edge-triggered epoll waits from now on.
            with woken(unix):
                trap.fail(errno.EINPROGRESS)
        elif reached:
            trap.answer()
        else:
            raise Refused(errno.ECONNRESET)

    def _reach(self, unix: socket.socket, address: Address) -> bool:
        """Whether somebody took the connection."""
        fault = self.faults.of(*address)
        if fault.breakage is Breakage.REFUSE:
            return False
        path = self._places.reach(address)
        is_heartbeat = address == self.heartbeat
        if is_heartbeat:
            self.heartbeat = None
        try:
            if fault.breakage is None:
                unix.connect(path)
            else:
                beyond = socket.socket(socket.AF_UNIX, unix.type)
                self._places.name(beyond)
                limit = fault.cut_after if fault.breakage is Breakage.CUT else None
                cut_connection(unix, beyond, path, limit)
        except PermissionError:
            self._complain(
                f"the socket {path} may not be opened by this user: to the program nobody listens "
                f"at CID {address[0]}, port {address[1]}"
            )
            return False
        except OSError:
            if is_heartbeat and not fault.breakage and not self.faults.heartbeat_lost:
                self._answer_heartbeat(unix)
                return True
            return False
        return True

    def _answer_heartbeat(self, unix: socket.socket) -> None:
        """Stand in for nitro-cli at boot, where there is none: one byte comes back."""
        with socket.socket(socket.AF_UNIX, unix.type) as listener:
            listener.bind("")
            listener.listen(1)
            unix.connect(listener.getsockname())
            parent, _ = listener.accept()

        def echo(_events: int) -> None:
            self._loop.forget(parent.fileno())
            with parent:
                byte = parent.recv(1)
                if byte:
                    parent.send(byte)

        self._loop.watch(parent.fileno(), echo)

    def _accept(self, trap: Trap) -> None:
        vsock = self._known(trap)
        if vsock is None:
            return
        with _copy_of(trap, vsock) as unix:
            if not unix.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise Refused(errno.EINVAL)
            try:
                self._hand_over(trap, vsock, unix)
            except _NobodyYet:
                if status_flags(unix) & os.O_NONBLOCK:
                    raise Refused(errno.EAGAIN) from None
                self._wait(trap, vsock, unix.dup())

    def _hand_over(self, trap: Trap, vsock: Vsock, listener: socket.socket) -> None:
        """Give the caller a connection. Raises _NobodyYet, and what accept fails with."""
        if not vsock.accepted and not is_readable(listener):
            raise _NobodyYet
        try:
            if trap.arguments[1]:
                check_room(trap)
        except (OSError, Refused):
            _next_connection(vsock, listener).close()  # As in the kernel, which looks too late.
            raise
        # As there, who has no free descriptor leaves the connection where it is, and the listener
        # readable. There is one: only its supervisor accepts what the program listens for.
        place = None if is_shut_down(listener) else trap.reserve(listener.fileno())
        with _next_connection(vsock, listener) as connection:
            kept = self._give_connection(trap, vsock, connection, place)
            if kept is not None:
                vsock.accepted.append(kept)

    def _give_connection(
        self, trap: Trap, vsock: Vsock, connection: socket.socket, place: int | None
    ) -> socket.socket | None:
        """Give it; returns a copy to keep if nobody took it."""
        peer = self._places.address_of(connection.getpeername())
        flags = trap.unsigned(3) if trap.name == "accept4" else 0
        connection.setblocking(not flags & socket.SOCK_NONBLOCK)
        self._learn(connection, Vsock(vsock.kind, (self._places.cid, vsock.local[1]), peer))
        try:
            if trap.arguments[1]:
                write_address(trap, peer)
            close_on_exec = bool(flags & socket.SOCK_CLOEXEC)
            if trap.give(connection.fileno(), close_on_exec=close_on_exec, place=place):
                return None
        except CallerGone:
            pass
        except OSError as error:
            trap.fail(error.errno or errno.EIO)
        return connection.dup()

    def _wait(self, trap: Trap, vsock: Vsock, listener: socket.socket) -> None:
        seconds = receive_timeout(listener)
        # Whose patience has an end is not started again (`net/core/sock.c`, sock_intr_errno).
        waiting = _Waiting(trap, vsock, listener, errno.EINTR if seconds else RESTART)
        self._waiting[listener.fileno()] = waiting
        if seconds:
            self._loop.later(seconds, lambda: self._give_up(waiting))
        self._loop.watch(listener.fileno(), lambda _events: self._try_again(waiting))
        if not self._sweeping:
            self._sweeping = True
            self._loop.later(_SWEEP_SECONDS, self._sweep)

    def _try_again(self, waiting: _Waiting) -> None:
        if waiting.trap.is_waiting():
            try:
                self._hand_over(waiting.trap, waiting.vsock, waiting.listener)
            except _NobodyYet:
                return  # Another who waits was quicker.
            except CallerGone:
                pass
            except (OSError, Refused) as error:
                waiting.trap.fail(error.errno or errno.EIO)
        self._stop_waiting(waiting)

    def _give_up(self, waiting: _Waiting) -> None:
        if self._waiting.get(waiting.listener.fileno()) is waiting:
            waiting.trap.fail(errno.EAGAIN)
            self._stop_waiting(waiting)

    def _stop_waiting(self, waiting: _Waiting) -> None:
        descriptor = waiting.listener.fileno()
        self._loop.forget(descriptor)
        del self._waiting[descriptor]
        # Our copy keeps the port in use.
        waiting.listener.close()

    def _sweep(self) -> None:
        """Wake who has a signal, forget who is gone.

        A stopped call sleeps through every signal that does not kill (SECCOMP_FILTER_FLAG_WAIT_
        KILLABLE_RECV). ERESTARTSYS lets the kernel deliver it and then restart accept or give
        EINTR, as SA_RESTART says.
        """
        for waiting in list(self._waiting.values()):
            if not waiting.trap.is_waiting():
                self._stop_waiting(waiting)
            elif _may_be_interrupted(waiting.trap):
                waiting.trap.fail(waiting.interrupted)
                self._stop_waiting(waiting)
        self._sweeping = bool(self._waiting)
        if self._sweeping:
            self._loop.later(_SWEEP_SECONDS, self._sweep)

    def _getsockname(self, trap: Trap) -> None:
        vsock = self._known(trap)
        if vsock is not None:
            write_address(trap, vsock.local)
            trap.answer()

    def _getpeername(self, trap: Trap) -> None:
        vsock = self._known(trap)
        if vsock is not None:
            if vsock.peer is None:
                raise Refused(errno.ENOTCONN)
            write_address(trap, vsock.peer)
            trap.answer()

    def _setsockopt(self, trap: Trap) -> None:
        vsock = self._known(trap)
        if vsock is None:
            return
        length = trap.signed(4)
        if length < 0:
            raise Refused(errno.EINVAL)
        vsock.options.set(trap.signed(2), trap.read(trap.arguments[3], min(length, LONGEST)))
        trap.answer()

    def _getsockopt(self, trap: Trap) -> None:
        vsock = self._known(trap)
        if vsock is None:
            return
        length = trap.read_int(trap.arguments[4])
        if trap.signed(1) == AF_VSOCK:
            value = vsock.options.get(trap.signed(2), length)
        elif length < 0:
            raise Refused(errno.EINVAL)
        else:  # SO_DOMAIN
            value = struct.pack("=i", AF_VSOCK)[:length]
        trap.write((trap.arguments[3], value), (trap.arguments[4], struct.pack("=i", len(value))))
        trap.answer()


@dataclass(slots=True, eq=False)
class _Waiting:
    """Somebody blocked in accept."""

    trap: Trap
    vsock: Vsock
    listener: socket.socket
    """A copy of the listening socket."""
    interrupted: int
    """How a signal ends it."""


def _may_be_interrupted(trap: Trap) -> bool:
    try:
        return has_signal_waiting(trap.thread)
    except OSError:
        return False  # It ends just now; the next sweep finds it gone.


def _next_connection(vsock: Vsock, listener: socket.socket) -> socket.socket:
    """The one that has waited longest."""
    return vsock.accepted.pop(0) if vsock.accepted else listener.accept()[0]


@contextmanager
def _copy_of(trap: Trap, vsock: Vsock) -> Iterator[socket.socket]:
    # What it is given Python need not ask the kernel for.
    with socket.socket(socket.AF_UNIX, vsock.kind, 0, trap.take()) as unix:
        yield unix
