"""CBOR decoding that accepts plain data only, wholly and once.

cbor2's defaults are made for convenience: bytes after the value are ignored, a repeated map key
silently wins, tags turn integers, strings and shared references into other objects. Each of them
would let two readers of one signed document see different things, so all are refused here.
"""

import io
from typing import Any, NoReturn

import cbor2

_MAX_DEPTH = 16

# The tags that cbor2 decodes by itself (cbor2 documentation, "Tag support"); the hook sees only
# the others.
_TAGS_WITH_DECODERS = (
    *(0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54),
    *(100, 256, 258, 260, 261, 1004, 43000, 55799),
)


class NotPlainCbor(ValueError):
    """The bytes are not exactly one plain CBOR value."""


def _refuse(*_: object) -> NoReturn:
    raise ValueError("a CBOR tag where none belongs")


_SEMANTIC_DECODERS = dict.fromkeys(_TAGS_WITH_DECODERS, _refuse)


def decode(data: bytes) -> Any:
    """The one value that `data` encodes: int, bytes, str, list, dict, bool, None or float.

    Definite and indefinite lengths are both accepted (RFC 8949, section 3.2). Raises NotPlainCbor
    for malformed or truncated input, tags, repeated map keys, nesting deeper than 16, and bytes
    after the value.
    """
    source = io.BytesIO(data)
    decoder = cbor2.CBORDecoder(
        source,
        tag_hook=_refuse,
        semantic_decoders=_SEMANTIC_DECODERS,
        max_depth=_MAX_DEPTH,
        allow_duplicate_keys=False,
    )
    try:
        value = decoder.decode()
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise NotPlainCbor(str(error) or type(error).__name__) from error
    if source.read(1):
        raise NotPlainCbor("bytes after the end of the value")
    return value
