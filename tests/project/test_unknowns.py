"""The scenarios of the unknowns ask for what the rule table of the KMS fake does not know."""

from __future__ import annotations

import re
from pathlib import Path

from kms_fake.evidence import Evidence
from kms_fake.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (ROOT / "scenarios" / "test_unknowns.py").read_text()
SETTLED = set(re.findall(r'"([a-z-]+\.[a-z0-9-]+)"', SOURCE))

CANNOT_BE_ASKED = {
    "request.object": "no SDK, and no target, sends a body that is no object",
    "request.dry-run-modifiers": "a limit of the fake",
    "authorization.unreadable-policy": "a limit of the fake",
    "document.payload": "only an NSM could sign such a payload",
    "document.certificate": "the same",
    "document.validity": "a document is too old hours before its certificate expires",
    "document.future": "no NSM signs with a clock that is ahead",
    "request.grant-tokens": "nothing of it depends on Recipient",
}


def test_every_rule_that_is_named_is_one() -> None:
    assert SETTLED - {rule.id for rule in RULES} == set()


def test_every_text_that_nobody_knows_is_asked_for() -> None:
    unknown = {rule.id for rule in RULES if rule.text_evidence is Evidence.UNKNOWN}
    assert unknown - SETTLED == set(CANNOT_BE_ASKED)
