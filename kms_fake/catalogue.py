"""Every refusal of this KMS in one place: the rule table and those beside it, for `GET /rules`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kms_fake.key_import import IMPORT_REFUSALS
from kms_fake.neighbours import NEIGHBOUR_REFUSALS
from kms_fake.other_refusals import OTHER_REFUSALS, OtherRefusal
from kms_fake.rules import RULES, Rule

BESIDE: tuple[OtherRefusal, ...] = (*OTHER_REFUSALS, *NEIGHBOUR_REFUSALS, *IMPORT_REFUSALS)
"""Those that are not of Decrypt and GenerateDataKey."""

ROWS: Mapping[str, Rule | OtherRefusal] = {
    **{rule.id: rule for rule in RULES},
    **{refusal.id: refusal for refusal in BESIDE},
}
"""All of them by their id, the table first and in the order of its checks."""


def evidence_of(rule: str) -> dict[str, str | None] | None:
    """The evidence of a refusal's `type`, `text` and `order`; None for one that is not ours.

    Of the order among the refusals beside the table nothing is claimed.
    """
    row = ROWS.get(rule)
    if row is None:
        return None
    if isinstance(row, Rule):
        type_evidence, order = row.type_evidence, row.order_evidence.value
    else:
        type_evidence, order = row.evidence, None
    return {"type": type_evidence.value, "text": row.text_evidence.value, "order": order}


def catalogue() -> list[dict[str, Any]]:
    """Every refusal as JSON values.

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
            "text": row.text,
            "evidence": evidence_of(row.id),
            "source": row.source,
        }
        for row in ROWS.values()
    ]


def _names(values: Any) -> list[str]:
    return sorted(value.value for value in values)
