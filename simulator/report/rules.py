"""The rule of the KMS fake that refused a call, looked up by the id that the answer carries."""

from __future__ import annotations

from dataclasses import dataclass

from kms_fake.catalogue import ROWS, evidence_of


@dataclass(frozen=True, slots=True)
class RuleShown:
    """What the fake's tables say of a rule; the evidence is about real KMS."""

    id: str
    exception: str
    text: str | None
    """`{}` stands for what was found; None where the real text is unknown."""
    evidence: tuple[tuple[str, str], ...]
    """Of `type`, `text` and, where there is an order, `order`."""
    source: str


def rule_shown(identifier: str) -> RuleShown | None:
    """The rule of that id; None for one that this version's tables do not have."""
    row = ROWS.get(identifier)
    if row is None:
        return None
    known = evidence_of(identifier) or {}
    evidence = tuple((name, value) for name, value in known.items() if value is not None)
    return RuleShown(row.id, row.exception, row.text, evidence, row.source)
