"""What of a text is the same in every run: identifiers, times and blobs become placeholders.

So that what two runs saw can be compared, and that what is kept names nobody's account. Not an
anonymiser of free text: it knows the forms that AWS, nitro-cli and boto3 write. Whatever it has
made it leaves as it is. The forms: AWS General Reference, "Amazon Resource Names"; the sources of
aws-nitro-enclaves-cli 1.4.4 for what it prints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

LONGEST = 4_000
"""Characters of a text that is kept."""
_LONGEST_READ = 200_000
_BEGINS_BYTES = 16

SECRET_MEMBERS = frozenset({"Plaintext", "PrivateKeyPlaintext", "SharedSecret"})
"""Of these only the length is ever kept."""
_TELLING_MEMBERS = frozenset({"AttestationDocument", "CiphertextForRecipient"})
"""Blobs whose first bytes say how they are built, and nothing of what they hold."""

_NAMED_RESOURCES = {
    "role": "role/<role>",
    "assumed-role": "assumed-role/<role>/<session>",
    "user": "user/<user>",
    "key": "key/<key-id>",
}


def _arn(found: re.Match[str]) -> str:
    _, _, service, region, account, resource = found[0].split(":", 5)
    kind, slash, _ = resource.partition("/")
    return ":".join(
        (
            *("arn:aws", service, "<region>" if region else ""),
            "<account>" if account.isdecimal() else account,
            _NAMED_RESOURCES.get(kind, f"{kind}/<id>") if slash else resource,
        )
    )


def _digest(found: re.Match[str]) -> str:
    digits = found[0]
    if not digits.strip("0"):
        return digits  # Zeros say something: debug mode, or a PCR that nothing was added to.
    name = f"sha{len(digits) * 4}"
    return f"<{name.upper() if re.search('[A-F]', digits) else name}>"


def _base64(found: re.Match[str]) -> str:
    text = found[0]
    mixed = all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return f"<base64 of {len(text)} characters>" if mixed else text  # A long path is none.


_FORMS: Sequence[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # boto3 shows a whole document where it refuses one.
        (r"""\bb(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", "<bytes>"),
        (r"\barn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:\d*:[^\s\"',;()<>]+", _arn),
        (r"\b[0-9a-fA-F]{128}\b|\b[0-9a-fA-F]{96}\b|\b[0-9a-fA-F]{64}\b", _digest),
        (r"\bi-[0-9a-f]{8,17}-enc[0-9a-f]+\b", "<enclave-id>"),
        (r"\bi-[0-9a-f]{8,17}\b", "<instance-id>"),
        (r"\bmrk-[0-9a-f]{32}\b", "<key-id>"),
        (r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", "<uuid>"),
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", "<access-key-id>"),
        (r"[A-Za-z0-9+/]{40,}={0,2}", _base64),
        (
            r"(?<!\d)\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|\s?UTC|[+-]\d\d:?\d\d)?",
            "<time>",
        ),
        (r"\[\s*\d+\.\d{6}\]", "[<seconds>]"),
        (r"(?:/private)?(?:/var)?/tmp/[^\s/\"'`:;,()\[\]<>]+", "<temporary>"),
        (r"(?i)(\b(?:enclave-?cid|cid|process-?id|pid)\b[\"']?\s*[:=]?\s*)\d+\b", r"\1<number>"),
        (r"(?<!\w)\d{12}(?!\w)", "<account>"),
        (r"\bip(?:-\d{1,3}){4}\b", "<host>"),
        (r"(?<![\w.])(?!127\.)\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)", "<address>"),
    )
)


def normalised(text: str) -> str:
    """`text` with placeholders, cut at LONGEST characters with a mark that says how many more."""
    for pattern, replacement in _FORMS:
        text = pattern.sub(replacement, text[:_LONGEST_READ])
    more = len(text) - LONGEST
    return text if more <= 0 else f"{text[:LONGEST]} ... [{more} more characters]"


def shape(value: object, name: str = "") -> Any:
    """What may be kept of the member `name` of a request or response; a value that JSON can hold.

    A blob is `{"bytes": N}`, with `begins` (hexadecimal) where that says how it is built; text is
    normalised; a plaintext is its length and nothing else. Null stays null and "" stays "".
    """
    match value:
        case bytes():
            begins = {"begins": value[:_BEGINS_BYTES].hex()} if name in _TELLING_MEMBERS else {}
            return {"bytes": len(value)} | begins
        case str():
            secret = name in SECRET_MEMBERS and value
            return {"characters": len(value)} if secret else normalised(value)
        case bool() | int() | float() | None:
            return value
        case Mapping():
            return {normalised(str(key)): shape(inner, str(key)) for key, inner in value.items()}
        case Sequence():
            return [shape(inner, name) for inner in value]
    return f"<{type(value).__name__}>"
