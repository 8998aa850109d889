"""The table of checks in docs/reference/doctor.md, made from the checks. Run it to write it."""

from __future__ import annotations

from pathlib import Path

from simulator.commands.doctor import hardware_needs
from simulator.doctor.checks import CHECKS
from simulator.doctor.hardware import own_checks
from simulator.doctor.model import Check
from simulator.doctor.report import roles

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "doctor.md"
BEGIN = "<!-- begin checks: python -m tests.project.doctor_checks writes them -->\n"
END = "<!-- end checks -->\n"

_HEAD = "| check | asked on | what must be so | bug | source |\n|---|---|---|---|---|\n"


def table() -> str:
    """A row for each check."""
    return _HEAD + "".join(map(_row, (*CHECKS, *own_checks(hardware_needs()))))


def _row(check: Check) -> str:
    cells = (
        f"`{check.id}`",
        f"`{check.option}`" if check.option else roles(check),
        check.title,
        check.bug,
        f"{check.source} ({check.evidence.value})",
    )
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def page() -> str:
    """The page with the table of now."""
    head, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{table()}{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page())
