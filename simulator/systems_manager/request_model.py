"""The shapes of requests, read from the service model that botocore ships.

It is AWS's own (data/ssm/2014-11-06/service-2.json.gz). What it does not say is in the table of
`simulator.systems_manager.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from kms_fake.shapes import Kind, Member

_KINDS = {
    "string": Kind.STRING,
    "integer": Kind.INTEGER,
    "boolean": Kind.BOOLEAN,
    # Of lists, which the shapes have no kind for: their values are checked by a rule.
    "map": Kind.STRUCTURE,
    "structure": Kind.STRUCTURE,
    "list": Kind.ARRAY,
    "timestamp": Kind.TIMESTAMP,
    "long": Kind.INTEGER,
}


@cache
def service_model() -> Any:
    """botocore's model of the service."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("ssm", "service-2"))


@cache
def request_shape(operation: str) -> Mapping[str, Member]:
    """The members of a request of `operation`."""
    shape = service_model().operation_model(operation).input_shape
    return {} if shape is None else _members(shape)


def _members(shape: Any) -> dict[str, Member]:
    return {
        name: _member(member, required=name in shape.required_members)
        for name, member in shape.members.items()
    }


def _member(shape: Any, *, required: bool = False) -> Member:
    kind = _KINDS[shape.type_name]
    pattern = shape.metadata.get("pattern", "")
    return Member(
        kind,
        least=shape.metadata.get("min"),
        most=shape.metadata.get("max"),
        values=tuple(shape.metadata.get("enum", ())),
        required=required,
        members=_members(shape) if shape.type_name == "structure" else {},
        # Classes of Unicode are Java's alone, and of members that nothing here depends on.
        pattern="" if r"\p" in pattern else pattern,
        element=_member(shape.member) if kind is Kind.ARRAY else None,
    )
