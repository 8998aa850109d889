"""CRC-32 of an image whose header is known last.

The checksum begins with the header, and the header is only known when everything behind it has
been read. That of two parts in a row follows from those of the parts (zlib's `crc32_combine`,
which Python does not offer), so that nothing is read twice.
"""

from __future__ import annotations

import zlib

from nsm_fake.eif.layout import CRC_OFFSET, Header

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31
"""The polynomial 1; coefficients are stored with the highest power lowest."""


def checksum(header: Header, body_crc: int, body_length: int) -> int:
    """The checksum of an image, from its header and the CRC-32 of all that follows the header."""
    first = zlib.crc32(header.encode()[:CRC_OFFSET])
    return combined(first, body_crc, body_length)


def combined(first: int, second: int, length: int) -> int:
    """CRC-32 of two parts, the second of which has `length` bytes."""
    return _product(_power_of_x(8 * length), first) ^ second


def _product(a: int, b: int) -> int:
    """a * b modulo the polynomial."""
    result = 0
    while a:
        if a & _ONE:
            result ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
    return result


def _power_of_x(exponent: int) -> int:
    """x to the power of `exponent` modulo the polynomial."""
    result, square = _ONE, _ONE >> 1
    while exponent:
        if exponent & 1:
            result = _product(result, square)
        square = _product(square, square)
        exponent >>= 1
    return result
