"""How the workload reaches an NSM and a vsock peer: the only module that knows.

Natively these are the device `/dev/nsm` and AF_VSOCK sockets (Linux uapi `linux/nsm.h` and
`linux/vm_sockets.h`). With the environment variable ATTESTED_KMS_FABRIC=DIR they are Unix stream
sockets in the folder DIR, on any system that has them: `nsm.sock` carries raw CBOR, each request
and each answer behind its length in four big-endian bytes, and `<cid>_<port>.sock` is the vsock
address (cid, port). While the variable is set, neither the device nor AF_VSOCK is touched. What the
bytes mean is not known here.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import math
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

FABRIC_VARIABLE = "ATTESTED_KMS_FABRIC"

PARENT_CID = 3
"""The parent instance as its enclaves address it (documented: AWS Nitro Enclaves User Guide)."""
FABRIC_ENCLAVE_CID = 16
"""The enclave's address in the fabric; natively the kernel knows an enclave's own CID."""
LOOPBACK_CID = 1
"""VMADDR_CID_LOCAL (`linux/vm_sockets.h`)."""
ANY_CID = 0xFFFF_FFFF
"""VMADDR_CID_ANY (`linux/vm_sockets.h`)."""

NSM_DEVICE = Path("/dev/nsm")
NSM_IOCTL_RAW = 0xC0200A00
"""`_IOWR(0x0A, 0x0, struct nsm_raw)` (`linux/nsm.h`)."""
NSM_RAW = struct.Struct("=QQQQ")
"""`struct nsm_raw`: address and length of the request, then of the response buffer."""
NSM_REQUEST_MAX_BYTES = 0x1000
NSM_RESPONSE_MAX_BYTES = 0x3000
NSM_SECONDS = 120.0
"""How long the kernel's driver waits for the NSM (`drivers/misc/nsm.c`); the same in the fabric."""

SOCKET_PATH_MAX_BYTES = 103
"""What fits beside the ending NUL into `sun_path` on macOS (104 bytes), the shortest in use."""

LOOPBACK_MODULE = Path("/sys/module/vsock_loopback")

_LONGEST_WAIT_SECONDS = 1.0


class TransportError(Exception):
    """What was tried, why it failed and what to do, in one line."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound and listening stream socket; closing it also removes its file in the fabric."""

    server: socket.socket
    address: str
    path: Path | None

    def accept(self) -> socket.socket:
        """The next connection, without a time limit; raises `TransportError`."""
        try:
            # A signal that comes just before a wait, or to another thread, does not end the wait;
            # Python hears it after, so the wait has an end.
            while not select.select([self.server], [], [], _LONGEST_WAIT_SECONDS)[0]:
                pass
            return self.server.accept()[0]
        except OSError as error:
            raise TransportError(f"cannot accept at {self.address}: {error}") from error

    def close(self) -> None:
        """Stop listening."""
        # The file goes first: once the socket is closed, another process may bind the same path.
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def nsm_request(request: bytes) -> bytes:
    """The NSM's answer to `request`, both one CBOR item as the driver carries them.

    Raises `TransportError` when no NSM is reached, when `request` is above 4096 bytes (the official
    client refuses it before the device: aws-nitro-enclaves-nsm-api, `src/driver/mod.rs`) and when
    the answer is above 12288 bytes.
    """
    if len(request) > NSM_REQUEST_MAX_BYTES:
        raise TransportError(
            f"a request of {len(request)} bytes is too large for the NSM, which takes "
            f"{NSM_REQUEST_MAX_BYTES}: shorten user_data, nonce or public_key"
        )
    fabric = _fabric()
    return _ask_device(request) if fabric is None else _ask_stream(fabric / "nsm.sock", request)


def connect(cid: int, port: int, timeout: float) -> socket.socket:
    """A stream to the vsock address (cid, port), its operations limited to `timeout` seconds.

    Raises `TransportError`; natively also for CID 1 without the kernel's loopback transport.
    """
    fabric = _fabric()
    if fabric is not None:
        return _connect_unix(_vsock_path(fabric, cid, port), timeout)
    return _connect_vsock(cid, port, timeout)


def listen(port: int, *, fabric_cid: int) -> Listener:
    """Listen at the vsock port `port`: natively on every CID, in the fabric as `fabric_cid`.

    Raises `TransportError` when the address cannot be bound.
    """
    fabric = _fabric()
    if fabric is not None:
        return _listen_unix(_vsock_path(fabric, fabric_cid, port))
    return _listen_vsock(port)


def receive_bytes(connection: socket.socket, count: int, seconds: float | None) -> bytes:
    """`count` bytes, or fewer where the stream ends, within `seconds` (None: no limit).

    Raises `TimeoutError` and the other `OSError`s of a socket.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    data = bytearray()
    while len(data) < count:
        remaining = None if deadline is None else deadline - time.monotonic()
        if remaining is not None and remaining <= 0:
            raise TimeoutError("timed out")
        connection.settimeout(remaining)
        chunk = connection.recv(count - len(data))
        if not chunk:
            break
        data += chunk
    return bytes(data)


def _fabric() -> Path | None:
    value = os.environ.get(FABRIC_VARIABLE)
    if value is None:
        return None
    if not value:
        raise TransportError(
            f"{FABRIC_VARIABLE} is set but empty: name the folder of the fabric's sockets, or "
            "unset it to use /dev/nsm and vsock"
        )
    return Path(value)


def _vsock_path(fabric: Path, cid: int, port: int) -> Path:
    return fabric / f"{cid}_{port}.sock"


def _checked_path(path: Path) -> str:
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_MAX_BYTES:
        raise TransportError(
            f"the socket path {path} has {length} bytes, a Unix socket takes "
            f"{SOCKET_PATH_MAX_BYTES}: set {FABRIC_VARIABLE} to a folder with a shorter path"
        )
    return str(path)


def _connect_unix(path: Path, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux refuses a non-blocking connection at once where the listener's queue is full, as a
        # burst fills it; a blocking one waits, as vsock does, for as long as SO_SNDTIMEO says.
        limit = struct.pack("@ll", math.ceil(timeout), 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        connection.connect(_checked_path(path))
        connection.settimeout(timeout)
    except OSError as error:
        connection.close()
        raise TransportError(
            f"cannot connect to {path}: {error}. {FABRIC_VARIABLE} names the folder; start the "
            "program that listens there"
        ) from error
    except TransportError:
        connection.close()
        raise
    return connection


def _connect_vsock(cid: int, port: int, timeout: float) -> socket.socket:
    if cid == LOOPBACK_CID and not LOOPBACK_MODULE.exists():
        # Without the module the kernel routes such a connection out of the machine, to the
        # hypervisor underneath (inferred from af_vsock's choice of transport).
        raise TransportError(
            "will not connect to vsock CID 1: this kernel has no loopback transport. "
            "Load it (modprobe vsock_loopback) or connect to the peer's own CID"
        )
    connection = _vsock_socket()
    try:
        connection.settimeout(timeout)
        connection.connect((cid, port))
    except OSError as error:
        connection.close()
        raise TransportError(
            f"cannot connect to vsock CID {cid}, port {port}: {error}. "
            "Start the program that listens there"
        ) from error
    return connection


def _listen_unix(path: Path) -> Listener:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind_unix(server, path)
        server.listen(socket.SOMAXCONN)
    except OSError as error:
        server.close()
        raise TransportError(
            f"cannot listen at {path}: {error}. {FABRIC_VARIABLE} must name a folder that exists, "
            "and nothing else may listen at that address"
        ) from error
    except TransportError:
        server.close()
        raise
    return Listener(server, str(path), path)


def _bind_unix(server: socket.socket, path: Path) -> None:
    address = _checked_path(path)
    try:
        server.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not _is_abandoned(path):
            raise
        # Only one program listens at an address of the fabric, so nobody binds it in between.
        path.unlink(missing_ok=True)
        server.bind(address)


def _is_abandoned(path: Path) -> bool:
    """Whether `path` is the socket of a process that was killed before it could remove it."""
    if not path.is_socket():
        return False
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        return probe.connect_ex(str(path)) == errno.ECONNREFUSED


def _listen_vsock(port: int) -> Listener:
    server = _vsock_socket()
    try:
        server.bind((ANY_CID, port))
        server.listen(socket.SOMAXCONN)
    except OSError as error:
        server.close()
        raise TransportError(
            f"cannot listen at vsock port {port}: {error}. Another program may listen there; ports "
            f"below 1024 need privileges. Outside an enclave and its parent, set {FABRIC_VARIABLE}"
        ) from error
    return Listener(server, f"vsock port {port}", None)


def _vsock_socket() -> socket.socket:
    if sys.platform == "linux":
        try:
            return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        except OSError as error:
            raise TransportError(
                f"this kernel gives no vsock sockets: {error}. Run in an enclave or on its parent "
                f"instance, or set {FABRIC_VARIABLE} to the folder of a fabric"
            ) from error
    raise TransportError(
        f"vsock exists only on Linux: set {FABRIC_VARIABLE} to the folder of a fabric"
    )


def _ask_stream(path: Path, request: bytes) -> bytes:
    with _connect_unix(path, NSM_SECONDS) as connection:
        try:
            connection.sendall(len(request).to_bytes(4, "big") + request)
            length = int.from_bytes(_all_of(connection, 4), "big")
            if length > NSM_RESPONSE_MAX_BYTES:
                raise TransportError(f"the NSM at {path} announces {length} bytes, above its limit")
            return _all_of(connection, length)
        except OSError as error:
            raise TransportError(f"the NSM at {path} did not answer: {error}") from error


def _all_of(connection: socket.socket, count: int) -> bytes:
    data = receive_bytes(connection, count, NSM_SECONDS)
    if len(data) < count:
        raise ConnectionError("the stream ended within the answer")
    return data


def _ask_device(request: bytes) -> bytes:
    message = ctypes.create_string_buffer(request, len(request))
    response = ctypes.create_string_buffer(NSM_RESPONSE_MAX_BYTES)
    raw = bytearray(
        NSM_RAW.pack(
            ctypes.addressof(message),
            len(request),
            ctypes.addressof(response),
            NSM_RESPONSE_MAX_BYTES,
        )
    )
    try:
        device = os.open(NSM_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise TransportError(
            f"cannot open {NSM_DEVICE}: {error.strerror}. Run inside a Nitro enclave, or set "
            f"{FABRIC_VARIABLE} to the folder of a fabric"
        ) from error
    try:
        fcntl.ioctl(device, NSM_IOCTL_RAW, raw)
    except OSError as error:
        raise TransportError(f"{NSM_DEVICE} did not answer: {error}") from error
    finally:
        os.close(device)
    length: int = NSM_RAW.unpack(raw)[3]
    # The driver writes back the real length even where it cut the response to fit the buffer.
    if length > NSM_RESPONSE_MAX_BYTES:
        raise TransportError(f"{NSM_DEVICE} answered {length} bytes, above its limit")
    return response.raw[:length]
