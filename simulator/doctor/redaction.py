"""Text of a machine without what looks like a secret, to be shown to somebody else.

What looks like one: values of names with `secret`, `token`, `password` or the like in them, keys of
AWS, private keys, users in addresses. A secret that says of itself no such thing stays: whoever
sends such a text has to look it through.
"""

from __future__ import annotations

import re

_LEFT_OUT = "x"
_NAMED = re.compile(
    r"""(?ix)
    (?P<name>[\w.-]*(?:secret|token|passw|credential|auth|api_?key|private_?key)[\w.-]*
        ["']?\s*[=:]\s*["']?(?:(?:basic|bearer)\s+)?)
    (?P<value>(?![/\s"'])[^\s"',;]+)
    """
)
_ACCESS_KEY = re.compile(r"\b(?P<name>A[KS]IA)(?P<value>[A-Z0-9]{8,})\b")
_PRIVATE_KEY = re.compile(
    r"(?s)(?P<name>-----BEGIN [A-Z ]*PRIVATE KEY-----)(?P<value>.*?)(?=-----END|\Z)"
)
_USER = re.compile(r"(?P<name>://)(?P<value>[^/@\s]+)(?=@)")


def without_secrets(text: str) -> str:
    """The text with letters x in place of each; as long as before. Paths are no secrets."""
    for pattern in (_PRIVATE_KEY, _USER, _ACCESS_KEY, _NAMED):
        text = pattern.sub(_left_out, text)
    return text


def variable_without_secrets(name: str, value: str) -> str:
    """The value of a variable of the environment."""
    return without_secrets(f"{name}={value}").removeprefix(f"{name}=")


def _left_out(match: re.Match[str]) -> str:
    return match["name"] + re.sub(r"\S", _LEFT_OUT, match["value"])
