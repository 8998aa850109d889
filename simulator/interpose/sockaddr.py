"""The struct sockaddr_vm of a program: read from its memory and written to it.

Errors are those of `net/socket.c` and `net/vmw_vsock/vsock_addr.c`.
"""

from __future__ import annotations

import errno
import struct

from simulator.interpose.bpf import AF_VSOCK
from simulator.interpose.places import Address
from simulator.interpose.trap import Refused, Trap

_SOCKADDR = struct.Struct("=HHIIB3s")
"""struct sockaddr_vm: family, reserved, port, CID, flags, zeros."""
_LONGEST_SOCKADDR = 128
_TO_HOST = 1
"""VMADDR_FLAG_TO_HOST, the only flag (`uapi/linux/vm_sockets.h`)."""


def read_sockaddr(trap: Trap) -> bytes:
    """The address of bind or connect as it stands (`net/socket.c`, move_addr_to_kernel)."""
    length = trap.signed(2)
    if not 0 <= length <= _LONGEST_SOCKADDR:
        raise Refused(errno.EINVAL)
    return trap.read(trap.arguments[1], length) if length else b""


def parse_address(content: bytes) -> Address:
    """The address (`net/vmw_vsock/vsock_addr.c`, vsock_addr_cast). Raises Refused: EINVAL."""
    if len(content) < _SOCKADDR.size:
        raise Refused(errno.EINVAL)
    family, _reserved, port, cid, flags, _zeros = _SOCKADDR.unpack_from(content)
    if family != AF_VSOCK or flags & ~_TO_HOST:
        raise Refused(errno.EINVAL)
    return cid, port


def read_address(trap: Trap) -> Address:
    """The address of bind or connect. Raises Refused and OSError."""
    return parse_address(read_sockaddr(trap))


def write_address(trap: Trap, address: Address) -> None:
    """Fill a struct sockaddr and its length (`net/socket.c`, move_addr_to_user)."""
    cid, port = address
    content = _SOCKADDR.pack(AF_VSOCK, 0, port, cid, 0, b"")
    room = trap.read_int(trap.arguments[2])
    if room < 0:
        raise Refused(errno.EINVAL)
    trap.write(
        (trap.arguments[1], content[:room]), (trap.arguments[2], struct.pack("=i", len(content)))
    )


def check_room(trap: Trap) -> None:
    """Whether an address can be written; nothing changes. Raises Refused and OSError."""
    room = trap.read_int(trap.arguments[2])
    if room < 0:
        raise Refused(errno.EINVAL)
    if room:
        length = min(room, _SOCKADDR.size)
        trap.write((trap.arguments[1], trap.read(trap.arguments[1], length)))
    trap.write((trap.arguments[2], struct.pack("=i", room)))
