"""The page of the lint rules says what the table says."""

from __future__ import annotations

import re

from simulator.lint.rules import RULES
from tests.project.lint_rules import PAGE, page


def test_the_page_is_made_from_the_table() -> None:
    assert PAGE.read_text() == page(), "run python -m tests.project.lint_rules"


def test_names_are_unique_and_can_be_links() -> None:
    names = [rule.id for rule in RULES]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)] == []


def test_every_rule_says_all_that_a_user_needs() -> None:
    for rule in RULES:
        assert rule.title, rule.id
        assert not rule.title.endswith("."), rule.id
        assert rule.why.endswith("."), rule.id
        assert rule.fix.endswith("."), rule.id
        assert rule.source, rule.id
        assert rule.severities == tuple(sorted(rule.severities, key=lambda each: each.rank))
