"""The Resource and NotResource elements of a policy statement: which key they mean.

Source: "IAM JSON policy elements: Resource" and "NotResource" (IAM User Guide, documented).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kms_fake.policy_json import MalformedPolicy, UnsupportedPolicy, read_strings, shown
from kms_fake.variables import Template, read_template
from kms_fake.wildcards import ArnPattern

if TYPE_CHECKING:
    from kms_fake.conditions import Context


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources that a statement is about, or with `negated` those that it is not about."""

    patterns: tuple[ArnPattern, ...]
    templates: tuple[Template, ...] = ()
    """Those that hold policy variables."""
    negated: bool = False

    NONE: ClassVar[Resources]
    """A statement that is about nothing."""

    @property
    def can_mean(self) -> bool:
        """Whether any resource can be meant."""
        return self.negated or bool(self.patterns or self.templates)

    def mean(self, arn: str, context: Context, *, allows: bool) -> bool:
        """Whether the resource `arn` is meant; `allows` is the effect of the statement.

        A resource with a variable that has no value matches none ("Policy variables with no
        value", documented). Under NotResource that would make a statement hold for more; whether
        it does is unknown, so an Allow then holds for nothing.
        """
        if any(pattern.matches(arn) for pattern in self.patterns):
            return not self.negated
        for template in self.templates:
            pieces = template.filled(context)
            if pieces is None:
                if self.negated and allows:
                    return False
            elif ArnPattern.of(*pieces).matches(arn):
                return not self.negated
        return self.negated


Resources.NONE = Resources(())


def read_resources(
    element: object, where: str, *, negated: bool, variables: bool
) -> Resources | None:
    """What a Resource or, with `negated`, a NotResource element means; None for every resource.

    `element` is its decoded JSON and `where` its path. Raises MalformedPolicy and
    UnsupportedPolicy.
    """
    texts = read_strings(element, where)
    for text in texts:
        _check(text, where)
    if "*" in texts:
        return Resources.NONE if negated else None
    patterns: list[ArnPattern] = []
    templates: list[Template] = []
    for text in texts:
        template = _template(text, where, variables=variables)
        if template.plain is None:
            templates.append(template)
        else:
            patterns.append(ArnPattern.of(*template.plain))
    return Resources(tuple(patterns), tuple(templates), negated)


def _check(text: str, where: str) -> None:
    if text == "*":
        return
    segments = text.split(":")
    if segments[0] != "arn" or len(segments) < 3:
        raise MalformedPolicy(f'{where}: {shown(text)} must be an ARN or "*"')
    if "*" in segments[2] or "?" in segments[2]:
        raise MalformedPolicy(
            f"{where}: {shown(text)} has a wildcard for the service, which AWS does not take"
        )
    if len(segments) < 6 and not text.endswith("*"):
        raise UnsupportedPolicy(
            f"{where}: {shown(text)} is shorter than an ARN, and AWS does not document what "
            "that means; supported: all six parts, or a * at the end"
        )


def _template(text: str, where: str, *, variables: bool) -> Template:
    """The template of a resource. A variable may stand in its last part only (documented)."""
    head = ":".join(text.split(":", 5)[:5])
    if variables and "${" in head:
        raise UnsupportedPolicy(
            f"{where}: {shown(text)} holds a policy variable before the fifth colon, which AWS "
            "does not take; supported: variables in the last part of an ARN"
        )
    return read_template(text, where, variables=variables)
