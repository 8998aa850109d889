"""Reading one CBOR item after another in the way of serde_cbor 0.11, byte for byte as tolerant.

Not a general decoder and not a substitute for cbor2, which builds values: whether AWS's types
accept a request depends on what a decoded value no longer shows (which head a string had, tags,
undefined against null, the order of duplicates), and bad input must cost no more than its own
length. The truth is `serde_cbor-0.11.2/src/de.rs` as driven by serde's derived visitors.

Every method raises `MalformedError` if the bytes are not what it reads. `depth` counts the
containers and tags around an item.
"""

_BREAK = 0xFF
_NULL = 0xF6
_MAX_DEPTH = 127

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_FALSE, _TRUE, _NULL_INFO, _UNDEFINED = range(20, 24)

Head = tuple[int, int | None]
"""Major type, and its argument: a value, a length, or None for an indefinite length. Of the simple
values (major 7) the argument is the additional information: 20..23, or 25..27 for a float."""


class MalformedError(ValueError):
    """The bytes are not the CBOR that was asked for."""


class CborReader:
    """A position in the bytes of one request."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def peek(self) -> int:
        """The next byte, which stays unread."""
        if self._position >= len(self._data):
            raise MalformedError("it ends too early")
        return self._data[self._position]

    def end(self) -> None:
        """Check that nothing follows."""
        rest = len(self._data) - self._position
        if rest:
            raise MalformedError(f"{rest} bytes follow its end")

    def take_break(self) -> bool:
        """Read the break code of an indefinite container, if it stands here."""
        if self.peek() != _BREAK:
            return False
        self._position += 1
        return True

    def head(self) -> Head:
        """The head of the next item, and the content of a simple value."""
        initial = self._take(1)[0]
        major, info = initial >> 5, initial & 31
        if major == _SIMPLE:
            return self._simple(info)
        if info < 24:
            return major, info
        if info < 28:
            return major, int.from_bytes(self._take(1 << (info - 24)))
        if info == 31 and major in (_BYTES, _TEXT, _ARRAY, _MAP):
            return major, None
        raise MalformedError(f"the initial byte {initial:02x} is not assigned")

    def untagged_head(self, depth: int) -> tuple[Head, int]:
        """The next head that is not a tag, and the depth of its item."""
        head = self.head()
        while head[0] == _TAG:
            depth = deeper(depth)
            head = self.head()
        return head, depth

    def container(self, depth: int) -> tuple[bool, int | None, int]:
        """The head of an array or a map: whether it is a map, its length, the depth inside."""
        (major, length), depth = self.untagged_head(depth)
        if major not in (_ARRAY, _MAP):
            raise MalformedError("neither an array nor a map where a structure belongs")
        return major == _MAP, length, deeper(depth)

    def identifier(self, depth: int) -> int | bytes:
        """The name of a variant or a field: its number, or its text in UTF-8."""
        head, _ = self.untagged_head(depth)
        if head[0] == _UNSIGNED and head[1] is not None:
            return head[1]
        return self._string(head)

    def unsigned(self, depth: int, maximum: int) -> int:
        """An unsigned integer, in whatever width it is written."""
        (major, value), _ = self.untagged_head(depth)
        if major != _UNSIGNED or value is None or value > maximum:
            raise MalformedError(f"not a number from 0 to {maximum}")
        return value

    def byte_string(self, depth: int) -> bytes:
        """Bytes, written as a byte string, as text or as an array of integers."""
        head, depth = self.untagged_head(depth)
        if head[0] != _ARRAY:
            return self._string(head)
        depth = deeper(depth)
        content = bytearray()
        remaining = head[1]
        while not self.exhausted(remaining):
            content.append(self.unsigned(depth, 255))
            remaining = _less(remaining)
        return bytes(content)

    def optional_byte_string(self, depth: int) -> bytes | None:
        """Bytes as `byte_string` reads them, or null; not undefined, and no tagged null."""
        if self.peek() != _NULL:
            return self.byte_string(depth)
        self._position += 1
        return None

    def unit(self, depth: int) -> None:
        """Null or undefined."""
        head, _ = self.untagged_head(depth)
        if head not in ((_SIMPLE, _NULL_INFO), (_SIMPLE, _UNDEFINED)):
            raise MalformedError("not null")

    def skip(self, depth: int) -> None:
        """Any one item."""
        head, depth = self.untagged_head(depth)
        major, argument = head
        if major in (_BYTES, _TEXT):
            self._string(head)
        elif major in (_ARRAY, _MAP):
            depth = deeper(depth)
            while not self.exhausted(argument):
                self.skip(depth)
                if major == _MAP:
                    self.skip(depth)
                argument = _less(argument)

    def exhausted(self, remaining: int | None) -> bool:
        """Whether a container ends here: none remain, or the break code, which is read."""
        return self.take_break() if remaining is None else remaining == 0

    def _string(self, head: Head) -> bytes:
        """The content of a byte or text string; text must be UTF-8."""
        major, length = head
        if major not in (_BYTES, _TEXT):
            raise MalformedError("neither bytes nor text where a string belongs")
        content = self._chunks(major) if length is None else self._take(length)
        if major == _TEXT:
            try:
                content.decode()
            except UnicodeDecodeError as error:
                raise MalformedError("a text is not UTF-8") from error
        return content

    def _chunks(self, major: int) -> bytes:
        content = bytearray()
        while not self.take_break():
            chunk_major, length = self.head()
            if chunk_major != major or length is None:
                raise MalformedError("a string of indefinite length has a chunk of another kind")
            content += self._take(length)
        return bytes(content)

    def _simple(self, info: int) -> Head:
        if info in (25, 26, 27):
            self._take(1 << (info - 24))
        elif info not in (_FALSE, _TRUE, _NULL_INFO, _UNDEFINED):
            raise MalformedError(f"the initial byte {0xE0 | info:02x} is not assigned")
        return _SIMPLE, info

    def _take(self, length: int) -> bytes:
        end = self._position + length
        if end > len(self._data):
            raise MalformedError("it ends too early")
        taken = self._data[self._position : end]
        self._position = end
        return taken


def deeper(depth: int) -> int:
    """The depth inside one more container or tag."""
    if depth == _MAX_DEPTH:
        raise MalformedError(f"more than {_MAX_DEPTH} containers and tags around one item")
    return depth + 1


def _less(remaining: int | None) -> int | None:
    return None if remaining is None else remaining - 1
