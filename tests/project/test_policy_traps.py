"""The page of the traps says what the table says."""

from __future__ import annotations

import re

from simulator.policy_check.traps import TRAPS
from tests.project.policy_traps import PAGE, page


def test_the_page_is_made_from_the_table() -> None:
    assert PAGE.read_text() == page(), "run python -m tests.project.policy_traps"


def test_names_are_unique_and_can_be_links() -> None:
    names = [trap.id for trap in TRAPS]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)] == []


def test_every_trap_says_all_that_a_user_needs() -> None:
    for trap in TRAPS:
        assert trap.title, trap.id
        assert not trap.title.endswith("."), trap.id
        assert trap.why.endswith("."), trap.id
        assert trap.fix.endswith("."), trap.id
        assert trap.source, trap.id
