"""The refusals of this KMS as data: the rule table and those beside it, for `GET /rules`."""

from __future__ import annotations

from functools import cache
from typing import Any

from kms_fake.evidence import Evidence
from kms_fake.other_refusals import OTHER_REFUSALS, OtherRefusal
from kms_fake.rules import RULES, Rule


@cache
def _by_id() -> dict[str, Rule | OtherRefusal]:
    table: dict[str, Rule | OtherRefusal] = {rule.id: rule for rule in RULES}
    return table | {refusal.id: refusal for refusal in OTHER_REFUSALS}


def evidence_of(rule: str) -> dict[str, str | None] | None:
    """The evidence of a refusal's `type`, `text` and `order`; None for one that is not ours.

    The refusals beside the table have no order among themselves, and their texts are ours.
    """
    row = _by_id().get(rule)
    if row is None:
        return None
    if isinstance(row, Rule):
        type_evidence, order = row.type_evidence, row.order_evidence.value
        text = row.text_evidence
        return {"type": type_evidence.value, "text": text.value, "order": order}
    return {"type": row.evidence.value, "text": Evidence.UNKNOWN.value, "order": None}


def catalogue() -> list[dict[str, Any]]:
    """Every refusal as JSON values: the table in the order of its checks, then the others.

    `operations` and `rule_sets` are None for those beside the table; `text` is None where the real
    one is unknown, and `{}` in it stands for what the check found.
    """
    return [
        {
            "id": row.id,
            "operations": _names(row.operations) if isinstance(row, Rule) else None,
            "rule_sets": _names(row.rule_sets) if isinstance(row, Rule) else None,
            "exception": row.exception,
            "http_status": row.http_status,
            "text": row.text if isinstance(row, Rule) else None,
            "evidence": evidence_of(row.id),
            "source": row.source,
        }
        for row in _by_id().values()
    ]


def _names(values: Any) -> list[str]:
    return sorted(value.value for value in values)
