"""The options of a vsock socket at level AF_VSOCK (`net/vmw_vsock/af_vsock.c`).

Sizes of buffers are kept and given back, and do nothing: the data is in the kernel's Unix sockets.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

from simulator.interpose.trap import Refused

_BUFFER_SIZE, _BUFFER_MIN, _BUFFER_MAX = 0, 1, 2
_TIMEOUT_OLD, _TIMEOUT_NEW = 6, 8
_DEFAULT_SIZE = 256 * 1024
_DEFAULT_MIN = 128
_DEFAULT_TIMEOUT = (2, 0)
_U64 = struct.Struct("=Q")
_TIMEVAL = struct.Struct("=qq")
LONGEST = 16


@dataclass(slots=True)
class Options:
    """The options of one socket, from the kernel's defaults on."""

    size: int = _DEFAULT_SIZE
    minimum: int = _DEFAULT_MIN
    maximum: int = _DEFAULT_SIZE
    timeout: tuple[int, int] = _DEFAULT_TIMEOUT
    """How long a blocking connect waits: seconds and microseconds."""

    def set(self, name: int, content: bytes) -> None:
        """setsockopt(2). Raises Refused: EINVAL, ENOPROTOOPT, ERANGE."""
        if name in (_TIMEOUT_OLD, _TIMEOUT_NEW):
            self._set_timeout(content)
            return
        if name not in (_BUFFER_SIZE, _BUFFER_MIN, _BUFFER_MAX):
            raise Refused(errno.ENOPROTOOPT)
        if len(content) < _U64.size:
            raise Refused(errno.EINVAL)
        value: int = _U64.unpack_from(content)[0]
        wanted = self.size
        if name == _BUFFER_SIZE:
            wanted = value
        elif name == _BUFFER_MIN:
            self.minimum = value
        else:
            self.maximum = value
        self.size = max(min(wanted, self.maximum), self.minimum)

    def _set_timeout(self, content: bytes) -> None:
        if len(content) < _TIMEVAL.size:
            raise Refused(errno.EINVAL)
        seconds, microseconds = _TIMEVAL.unpack_from(content)
        if seconds < 0 or not 0 <= microseconds < 1_000_000:
            raise Refused(errno.ERANGE)
        self.timeout = (seconds, microseconds) if seconds or microseconds else _DEFAULT_TIMEOUT

    def get(self, name: int, length: int) -> bytes:
        """getsockopt(2) into a buffer of `length` bytes. Raises Refused: EINVAL, ENOPROTOOPT."""
        sizes = {_BUFFER_SIZE: self.size, _BUFFER_MIN: self.minimum, _BUFFER_MAX: self.maximum}
        if name in sizes:
            value = _U64.pack(sizes[name])
        elif name in (_TIMEOUT_OLD, _TIMEOUT_NEW):
            value = _TIMEVAL.pack(*self.timeout)
        else:
            raise Refused(errno.ENOPROTOOPT)
        if length < len(value):
            raise Refused(errno.EINVAL)
        return value
