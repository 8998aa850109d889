"""A file that is read and not trusted: whatever goes wrong with it is an EifError."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from nsm_fake.eif.errors import EifTruncated, EifUnreadable, unreadable

CHUNK = 1 << 20
"""Bytes that are read at a time: enough that handing them to another thread costs nothing."""
_OPENING = "Failed to open the EIF file"
_READING = "Error while reading EIF header"


class Source:
    """One regular file, open for reading, unbuffered.

    Errors of whatever its content is written to meanwhile are not touched.
    """

    def __init__(self, path: Path) -> None:
        """Open it. Raises EifUnreadable."""
        self.path = path
        try:
            # So that a pipe without a writer does not block.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise unreadable(path, error, _OPENING) from error
        status = os.fstat(descriptor)
        self.size = status.st_size
        """Bytes in the file when it was opened."""
        try:
            # A folder raises here.
            self._file = FileIO(descriptor)
            regular = stat.S_ISREG(status.st_mode)
        except OSError as error:
            os.close(descriptor)
            raise unreadable(path, error, _READING) from error
        if not regular:
            self._file.close()
            raise EifUnreadable(f"{path} is not a regular file; give an enclave image file.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def seek(self, position: int) -> None:
        """Go to a position within the file, counted from the beginning."""
        self._file.seek(position)

    def read_exactly(self, size: int) -> bytes | None:
        """The next `size` bytes, or None if there are not so many. For a few bytes."""
        data = b""
        while len(data) < size:
            try:
                more = self._file.read(size - len(data))
            except OSError as error:
                raise unreadable(self.path, error, _READING) from error
            if not more:
                return None
            data += more
        return data

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes; each piece is valid until the next is taken."""
        buffer = memoryview(bytearray(min(size, CHUNK)))
        while size > 0:
            try:
                count = self._file.readinto(buffer[: min(size, CHUNK)])
            except OSError as error:
                raise unreadable(self.path, error, _READING) from error
            if not count:
                raise EifTruncated(f"{self.path} became shorter while it was read; read it again.")
            yield buffer[:count]
            size -= count
