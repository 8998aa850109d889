"""Policy files and attestation documents as users have them, read or refused in a sentence.

A key policy is JSON, as `aws kms put-key-policy` takes it, or what `aws kms get-key-policy
--output json` prints, which holds the policy as a string under "Policy". An identity policy is
JSON, or what `aws iam get-role-policy`, `get-user-policy`, `get-group-policy` and
`get-policy-version` print. Nothing here knows what a policy means.
"""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kms_fake.document import NotADocument, read_cose_sign1, read_payload
from kms_fake.policy import MalformedPolicy, PolicyKind
from kms_fake.policy_json import decode, read_object

STANDARD_INPUT = "-"

_EXPECTED = {
    PolicyKind.KEY: (
        "give the JSON that aws kms put-key-policy takes, or what aws kms get-key-policy "
        "--output json prints"
    ),
    PolicyKind.IDENTITY: (
        "give the JSON of an IAM policy, or what aws iam get-role-policy or get-policy-version "
        "prints"
    ),
}


class Unreadable(Exception):
    """An input cannot be used: the message names it, says what is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """One policy and where it came from."""

    name: str
    """The path as the user gave it; `-` for standard input."""
    kind: PolicyKind
    document: Mapping[str, Any]
    """The decoded JSON of the policy itself, out of any wrapping."""


def read_policy(name: str, kind: PolicyKind) -> PolicyFile:
    """The policy in the file `name`, or on standard input for `-`. Raises Unreadable."""
    try:
        text = _read(name).decode("utf-8-sig")
        value = read_object(decode(text), "the policy")
        return PolicyFile(name, kind, _unwrapped(value, kind))
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"{name}: byte {error.start} is not UTF-8 text; {_EXPECTED[kind]}"
        ) from error
    except MalformedPolicy as error:
        raise Unreadable(f"{name}: {error}; {_EXPECTED[kind]}") from error


def read_document(name: str) -> Mapping[int, str]:
    """The PCRs of an enclave's attestation document, index to lower-case hexadecimal.

    The file holds the document raw or in base64. Its signature is not checked: what is asked is
    what a policy says of these measurements. Raises Unreadable.
    """
    raw = _read(name)
    if raw[:1] not in {b"\x84", b"\xd2"}:  # COSE_Sign1, untagged and tagged.
        try:
            raw = base64.b64decode(b"".join(raw.split()), validate=True)
        except binascii.Error as error:
            raise Unreadable(
                f"{name}: neither an attestation document nor its base64; give the bytes that the "
                "NSM returned"
            ) from error
    try:
        fields = read_payload(read_cose_sign1(raw).payload)
    except NotADocument as error:
        raise Unreadable(
            f"{name}: no attestation document: {error}; give the bytes that the NSM returned"
        ) from error
    if fields.nitro_tpm:
        raise Unreadable(f"{name}: a NitroTPM's document; give one of an enclave")
    return {index: digest.hex() for index, digest in fields.pcrs.items()}


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
    except OSError as error:
        raise Unreadable(
            f"{name}: cannot be read: {error.strerror}; give the path of a readable file"
        ) from error


def _unwrapped(value: dict[str, Any], kind: PolicyKind) -> Mapping[str, Any]:
    if "Statement" in value:
        return value
    if kind is PolicyKind.KEY and isinstance(value.get("Policy"), str):
        try:
            return read_object(decode(value["Policy"]), "the policy")
        except MalformedPolicy as error:
            raise MalformedPolicy(f'in the string under "Policy": {error}') from error
    if kind is PolicyKind.IDENTITY:
        version = value.get("PolicyVersion")
        wrapped = version.get("Document") if isinstance(version, dict) else None
        wrapped = value.get("PolicyDocument", wrapped)
        if wrapped is not None:
            return read_object(wrapped, "the policy document")
    raise MalformedPolicy("the policy has no Statement")
