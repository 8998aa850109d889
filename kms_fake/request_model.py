"""The shapes of all operations' requests, read from the service model that botocore ships.

It is AWS's own model (data/kms/2014-11-01/service-2.json.gz), read when it is first needed. What
it does not say is not here: KMS requires more than the model marks, and its errors list the values
of an enumeration in an order of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from kms_fake.shapes import Kind, Member

# As recorded in AWS-validated snapshots of LocalStack (test_kms.snapshot.json, April 2023). The
# two of CreateKey are older than some values of today's model, which are accepted all the same.
_SHOWN_VALUES = {
    "MacAlgorithmSpec": ("HMAC_SHA_384", "HMAC_SHA_256", "HMAC_SHA_224", "HMAC_SHA_512"),
    "KeyUsageType": ("ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC"),
    "KeySpec": (
        *("RSA_2048", "ECC_NIST_P384", "ECC_NIST_P256", "ECC_NIST_P521", "HMAC_384", "RSA_3072"),
        *("ECC_SECG_P256K1", "RSA_4096", "SYMMETRIC_DEFAULT", "HMAC_256", "HMAC_224", "HMAC_512"),
    ),
}

_KINDS = {
    "blob": Kind.BLOB,
    "string": Kind.STRING,
    "integer": Kind.INTEGER,
    "boolean": Kind.BOOLEAN,
    "map": Kind.STRING_MAP,
    "structure": Kind.STRUCTURE,
    "list": Kind.ARRAY,
    "timestamp": Kind.TIMESTAMP,
}

_OPTIONAL_NOW = {"CreateGrant": ("GranteePrincipal",)}
"""What older models of botocore (1.43.0 too) take for required: they know no service as grantee."""


def is_operation(name: str) -> bool:
    """Whether KMS has the operation."""
    return name in _service_model().operation_names


@cache
def request_shape(operation: str) -> Mapping[str, Member]:
    """The members of a request of `operation`; none for one that the model does not have."""
    model = _service_model()
    if operation not in model.operation_names:
        return {}
    shape = model.operation_model(operation).input_shape
    members = {} if shape is None else _members(shape)
    for name in _OPTIONAL_NOW.get(operation, ()):
        members[name] = replace(members[name], required=False)
    return members


@cache
def _service_model() -> Any:
    # Only requests for other operations than the two of this package need it.
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("kms", "service-2"))


def _members(shape: Any) -> dict[str, Member]:
    return {
        name: _member(member, required=name in shape.required_members)
        for name, member in shape.members.items()
    }


def _member(shape: Any, *, required: bool = False) -> Member:
    kind = _KINDS[shape.type_name]
    return Member(
        kind,
        least=shape.metadata.get("min"),
        most=shape.metadata.get("max"),
        values=tuple(shape.metadata.get("enum", ())),
        required=required,
        members=_members(shape) if kind is Kind.STRUCTURE else {},
        pattern=shape.metadata.get("pattern", ""),
        element=_member(shape.member) if kind is Kind.ARRAY else None,
        shown_values=_SHOWN_VALUES.get(shape.name, ()),
    )
