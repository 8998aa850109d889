"""Whether a command line of the AWS CLI is one: its service, operation, options and their values.

The AWS CLI makes its commands of botocore's models, and so does this, without it and without a
network: a name that AWS does not know, a member that is missing, a value of another type or not of
its enumeration. It reads files, JSON and the shorthand syntax, as far as our pages use them.

Sources: AWS CLI User Guide, "Specifying parameter values" and "Using shorthand syntax"; botocore.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.validate import ParamValidator

_OF_ALL_COMMANDS = frozenset({"query", "output", "region", "profile"})
_OUTPUTS = frozenset({"json", "text", "table", "yaml"})


class WrongCommand(Exception):
    """What the AWS CLI would not take, or AWS not answer."""


def check(words: Sequence[str], folder: Path) -> None:
    """Check the command line `aws` + `words`, run in `folder`. Raises WrongCommand."""
    service, name, *rest = words
    given = _given(rest)
    if name == "wait":
        waiter, *rest = rest
        operation, given = _waited_for(service, waiter), _given(rest)
    else:
        operation = _operation(service, name)
    if given.pop("output", ["json"])[0] not in _OUTPUTS:
        raise WrongCommand(f"{name}: no such output")
    for query in given.pop("query", []):
        _check_query(query, operation.output_shape)
    parameters = _parameters(operation, given, folder)
    report = ParamValidator().validate(parameters, operation.input_shape)
    if report.has_errors():
        raise WrongCommand(f"{name}: {report.generate_report()}")
    for wrong in _not_enumerated(parameters, operation.input_shape):
        raise WrongCommand(f"{name}: {wrong}")


@cache
def _session() -> Any:
    return botocore.session.Session()


@cache
def _service(name: str) -> Any:
    try:
        return _session().get_service_model(name)
    except UnknownServiceError as error:
        raise WrongCommand(f"no such service: {name}") from error


def _operation(service: str, name: str) -> Any:
    model = _service(service)
    found = [known for known in model.operation_names if xform_name(known, "-") == name]
    if not found:
        raise WrongCommand(f"{service} has no operation {name}")
    return model.operation_model(found[0])


def _waited_for(service: str, name: str) -> Any:
    waiters = _session().get_waiter_model(service)
    found = [known for known in waiters.waiter_names if xform_name(known, "-") == name]
    if not found:
        raise WrongCommand(f"{service} has no waiter {name}")
    return _service(service).operation_model(waiters.get_waiter(found[0]).operation)


def _given(words: Sequence[str]) -> dict[str, list[str]]:
    """The options with their values, as they stand."""
    given: dict[str, list[str]] = {}
    values: list[str] = []
    for word in words:
        if word.startswith("--"):
            values = given.setdefault(word[2:], [])
        else:
            values.append(word)
    return given


def _parameters(
    operation: Any, given: Mapping[str, Sequence[str]], folder: Path
) -> dict[str, object]:
    shapes = {xform_name(name, "-"): name for name in operation.input_shape.members}
    parameters: dict[str, object] = {}
    for option, values in given.items():
        if option in _OF_ALL_COMMANDS:
            continue
        if option == "count" and operation.name == "RunInstances":  # The AWS CLI's own.
            parameters |= {"MinCount": int(values[0]), "MaxCount": int(values[0])}
        elif option not in shapes:
            raise WrongCommand(f"{operation.name} has no parameter --{option}")
        else:
            name = shapes[option]
            parameters[name] = _value(values, operation.input_shape.members[name], folder)
    return parameters


def _value(values: Sequence[str], shape: Any, folder: Path) -> object:
    """What botocore is given for an option's words."""
    if len(values) == 1 and values[0].startswith("file://"):
        values = [(folder / values[0].removeprefix("file://")).read_text()]
        if shape.type_name == "string":
            return values[0]
    if len(values) == 1 and values[0][:1] in ("[", "{") and shape.type_name != "string":
        return json.loads(values[0])
    if shape.type_name == "list":
        return [_value([value], shape.member, folder) for value in values]
    if len(values) != 1:
        raise WrongCommand(f"{shape.name} takes one value, not {values}")
    if shape.type_name in ("structure", "map"):
        return _Shorthand(values[0]).structure(shape)
    return _scalar(values[0], shape)


def _scalar(text: str, shape: Any) -> object:
    if shape.type_name == "boolean":
        return {"true": True, "false": False}[text.lower()]
    return int(text) if shape.type_name in ("integer", "long") else text


class _Shorthand:
    """Reads `Key=value,Key=[a,b],Key={Key=value}` and `Key=a,b`."""

    def __init__(self, text: str) -> None:
        self._tokens = re.findall(r"[^=,\[\]{}]+|.", text)

    def structure(self, shape: Any, end: str = "") -> dict[str, object]:
        """The members up to `end`."""
        read: dict[str, object] = {}
        while self._tokens and self._tokens[0] != end:
            name = self._tokens.pop(0)
            if name not in shape.members or self._tokens.pop(0) != "=":
                raise WrongCommand(f"{shape.name} has no member {name}")
            read[name] = self._member(shape.members[name])
            self._pass_comma()
        return read

    def _member(self, shape: Any) -> object:
        opened = self._tokens[0] if self._tokens[0] in ("[", "{") else ""
        if shape.type_name == "structure":
            return self._bracketed("}", lambda: self.structure(shape, "}"))
        if shape.type_name == "list":
            return self._bracketed("]", lambda: self._list(shape)) if opened else self._list(shape)
        return _scalar(self._tokens.pop(0), shape)

    def _list(self, shape: Any) -> list[object]:
        read: list[object] = []
        while self._tokens and self._tokens[0] != "]" and self._tokens[1:2] != ["="]:
            read.append(self._member(shape.member))
            self._pass_comma()
        return read

    def _bracketed(self, end: str, read: Callable[[], object]) -> object:
        self._tokens.pop(0)
        value = read()
        self._tokens.pop(0)
        self._pass_comma()
        assert end
        return value

    def _pass_comma(self) -> None:
        if self._tokens[:1] == [","]:
            self._tokens.pop(0)


def _check_query(query: str, shape: Any) -> None:
    """Follow a path such as `Instances[0].InstanceId` through the answer."""
    for step in query.split("."):
        name, index = re.fullmatch(r"(\w+)(\[\d+\])?", step).groups()  # type: ignore[union-attr]
        if name not in shape.members:
            raise WrongCommand(f"{shape.name} has no member {name}: {query}")
        shape = shape.members[name]
        if index:
            shape = shape.member


def _not_enumerated(value: object, shape: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and shape.type_name == "structure":
        for name, member in value.items():
            yield from _not_enumerated(member, shape.members[name])
    elif isinstance(value, list):
        for element in value:
            yield from _not_enumerated(element, shape.member)
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        yield f"{value} is not one of {shape.name}"
