"""The page of doctor has the table of its checks."""

from __future__ import annotations

from tests.project.doctor_checks import BEGIN, END, PAGE, page


def test_the_page_has_the_table_of_now() -> None:
    text = PAGE.read_text()
    assert (text.count(BEGIN), text.count(END)) == (1, 1)
    assert text == page(), "run python -m tests.project.doctor_checks"
