"""The values that condition operators compare: numbers, dates, addresses, read from their texts.

A text that AWS documents no meaning of is refused where a policy holds it; where a request brings
it, it is None and equals nothing. Source: "IAM JSON policy elements: Condition operators"
(documented).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

from kms_fake.policy_json import UnsupportedPolicy, shown

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Value = TypeVar("Value")

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?")
_EPOCH = re.compile(r"[0-9]{5,12}")
# The W3C profile of ISO 8601 (NOTE-datetime), which the page names; a year alone could be seconds.
_DATE = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?)"
    r"(?:T(?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2}))?"
)


@lru_cache(maxsize=1024)
def number(text: str) -> Decimal | None:
    """An integer or a decimal."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


@lru_cache(maxsize=1024)
def date(text: str) -> dt.datetime | None:
    """A moment: ISO 8601 in the W3C profile, or seconds since 1970. What is left out begins."""
    try:
        if _EPOCH.fullmatch(text):
            return dt.datetime.fromtimestamp(int(text), dt.UTC)
        match = _DATE.fullmatch(text)
        if match is None:
            return None
        day = match["day"] if len(match["day"]) > len("YYYY-MM") else f"{match['day']}-01"
        zone = (match["zone"] or "Z").replace("Z", "+00:00")
        return dt.datetime.fromisoformat(f"{day}T{match['time'] or '00:00'}{zone}")
    except (ValueError, OverflowError, OSError):
        return None


@lru_cache(maxsize=1024)
def address(text: str) -> Address | None:
    """An IPv4 or IPv6 address."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def network(text: str) -> Network | None:
    """An address or a range in CIDR notation.

    Without a prefix an IPv4 address is itself alone ("the default prefix value of /32"). For IPv6
    the page's /32 would be a very large range, so that an address without a prefix is none here.
    """
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return None if found.version == 6 and "/" not in text else found


def binary(text: str) -> bytes | None:
    """The bytes that base64 text stands for."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def read_values(
    texts: tuple[str, ...],
    read: Callable[[str], Value | None],
    where: str,
    form: str,
) -> tuple[Value, ...]:
    """The values of a policy. Raises UnsupportedPolicy for a text that `read` does not take."""
    values = []
    for text in texts:
        value = read(text)
        if value is None:
            raise UnsupportedPolicy(
                f"{where}: AWS documents no meaning of {shown(text)} here; supported: {form}"
            )
        values.append(value)
    return tuple(values)
