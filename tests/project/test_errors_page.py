"""docs/reference/errors.md is what the explanations say."""

from __future__ import annotations

from tests.project.errors_page import PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run python -m tests.project.errors_page"
