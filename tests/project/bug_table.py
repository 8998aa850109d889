"""The README's table of the field notes' bugs, made from simulator/bugs.py. Run it to write it."""

from __future__ import annotations

from simulator.bugs import BUGS, Bug
from tests.project.readme_rules import README

BEGIN = "<!-- begin bugs: ./toxw -e py checks that this is what simulator/bugs.py says -->\n"
END = "<!-- end bugs -->\n"

_HEAD = """\
| bug | symptom | cause | fix | scenarios |
|---|---|---|---|---|
"""


def table() -> str:
    """The whole table."""
    return _HEAD + "".join(map(_row, BUGS))


def _row(bug: Bug) -> str:
    notes = f" *{bug.correction}*" if bug.correction else ""
    shown = "<br>".join(f"`{each.id}` {each.evidence.value}" for each in bug.scenarios)
    cells = (
        f"**{bug.number}** {bug.title}",
        bug.symptom,
        f"{bug.cause} ({bug.evidence.value}){notes}",
        bug.fix,
        shown,
    )
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


def with_bugs(readme: str) -> str:
    """The README with this table between its marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    README.write_text(with_bugs(README.read_text()))
