"""Requests and answers as bytes of the `json` 1.1 protocol: blobs are base64 text there.

Nothing is judged here: what does not decode is handed on as it is, and the rules refuse it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

from kms_fake.errors import KmsRefusal
from kms_fake.shapes import SHAPES, Operation, blob_members

CONTENT_TYPE = "application/x-amz-json-1.1"

_BLOBS = {operation: tuple(blob_members(shape)) for operation, shape in SHAPES.items()}


def decode_json(body: bytes) -> object:
    """The JSON value of a request's body; None where it is not JSON. An empty body is `{}`."""
    try:
        return json.loads(body or b"{}")
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError.
        return None


def decode_members(operation: Operation, body: bytes) -> object:
    """The members of a request, blobs as bytes; a blob that is not base64 stays what it was."""
    value = decode_json(body)
    return decode_blobs(_BLOBS[operation], value) if isinstance(value, dict) else value


def decode_blobs(paths: Iterable[tuple[str, ...]], members: dict[str, Any]) -> dict[str, Any]:
    """The same members, with those at `paths` that are base64 decoded in place."""
    for path in paths:
        _decode_blob(members, path)
    return members


def _decode_blob(members: dict[str, Any], path: tuple[str, ...]) -> None:
    name, *rest = path
    value = members.get(name)
    if rest:
        if isinstance(value, dict):
            _decode_blob(value, tuple(rest))
    elif isinstance(value, str):
        try:
            members[name] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return  # Left as text: the rule on member types names it.


def encode_answer(answer: Mapping[str, Any]) -> bytes:
    """The JSON body of an answer."""
    return json.dumps(
        {
            name: base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
            for name, value in answer.items()
        }
    ).encode()


def encode_refusal(refusal: KmsRefusal) -> bytes:
    """The JSON body of a refusal."""
    return json.dumps(refusal.body()).encode()
