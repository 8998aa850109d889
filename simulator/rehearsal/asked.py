"""A request to AWS as any client sends it, read as far as this world needs.

Protocols: `json` 1.1 of KMS and of tagging (X-Amz-Target), `query` of IAM and STS and `ec2` of EC2
(a form). Source: Smithy's pages of these protocols (documented).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from kms_fake.wire import decode_json

_CREDENTIAL = re.compile(
    r"Credential=(?P<key>[^/,\s]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request"
)
_FORM = frozenset({"sts", "iam", "ec2"})
_PROTOCOL_MEMBERS = frozenset({"Action", "Version"})
_LIST = re.compile(r"(?P<name>.+?)(?:\.member)?\.(?P<index>\d+)")
_SECRET = frozenset(
    {"Plaintext", "PrivateKeyPlaintext", "SecretAccessKey", "Message", "SharedSecret", "PublicKey"}
)
"""Members that are not for a log, and keys in base64 with them."""
_LONG_BLOBS = frozenset({"CiphertextBlob", "AttestationDocument", "SourceCiphertextBlob"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    service: str
    operation: str
    members: Mapping[str, Any]
    access_key: str
    region: str

    @property
    def action(self) -> str:
        """What a policy names: `kms:CreateKey`."""
        prefix = "tag" if self.service == "tagging" else self.service
        return f"{prefix}:{self.operation}"


def read(environ: Mapping[str, Any], body: bytes) -> Asked | None:
    """The request; None for one without a signature or an operation."""
    credential = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if credential is None:
        return None
    service = credential["service"]
    if service in _FORM:
        members = _form(body)
        operation = str(members.get("Action", ""))
        members = {name: value for name, value in members.items() if name not in _PROTOCOL_MEMBERS}
    else:
        decoded = decode_json(body)
        members = decoded if isinstance(decoded, dict) else {}
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if not operation:
        return None
    return Asked(service, operation, members, credential["key"], credential["region"])


def _form(body: bytes) -> dict[str, Any]:
    """A form's members; those of a list (`Name.member.1`, of EC2 `Name.1`) are a list."""
    members: dict[str, Any] = {}
    lists: dict[str, dict[int, str]] = {}
    for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
        item = _LIST.fullmatch(name)
        if item is None:
            members[name] = value
        else:
            lists.setdefault(item["name"], {})[int(item["index"])] = value
    for name, items in lists.items():
        members[name] = [items[index] for index in sorted(items)]
    return members


def shown(value: Any, name: str = "") -> Any:
    """Members as a log may have them: without what may be secret, and without long blobs."""
    if isinstance(value, dict):
        return {inner: shown(one, inner) for inner, one in value.items()}
    if isinstance(value, list):
        return [shown(one, name) for one in value]
    if name in _SECRET | _LONG_BLOBS and isinstance(value, str):
        return {"bytes": len(value) * 3 // 4 - value[-2:].count("=")}
    return value
