"""The tables of refusals, made from the code: the README's, and that of a page of its own.

Run it to write both.
"""

from __future__ import annotations

from pathlib import Path

from kms_fake.catalogue import BESIDE
from kms_fake.other_refusals import OtherRefusal
from kms_fake.rules import RULES, Rule
from kms_fake.shapes import Operation

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "reference" / "other-refusals.md"
BEGIN = "<!-- begin rules: ./toxw -e py checks that this is what kms_fake/rules.py says -->\n"
END = "<!-- end rules -->\n"

_PAGE_HEAD = """# Refusals beside the rule table

What is refused before `Decrypt` and `GenerateDataKey` are looked at
(`kms_fake/other_refusals.py`), and what is refused of other operations (`kms_fake/neighbours.py`,
in the order of its checks, which is inferred; `kms_fake/key_import.py`). The rules of those two
operations, and what the words of evidence mean, are in the [README](../../README.md#the-errors);
what to do about a refusal says [errors.md](errors.md) and `attested-kms explain`.

This page is made from the code (`python -m tests.project.readme_rules`; a test checks that it is
current). A text that is unknown ends in ` [attested-kms: real text unknown, ID]`: do not write code
against it.

"""

_HEAD = "| rule | error | evidence: type, text, order | source |\n|---|---|---|---|\n"


def row(rule: Rule) -> str:
    """One line of the table."""
    text = shown(rule.text)
    scope = "" if len(rule.operations) == len(Operation) else f", {operations(rule)} only"
    scope += "" if len(rule.rule_sets) > 1 else ", rule set `field-notes` only"
    evidence = (rule.type_evidence, rule.text_evidence, rule.order_evidence)
    known = ", ".join(item.value for item in evidence)
    return f"| `{rule.id}`{scope} | {rule.exception}: {text} | {known} | {rule.source} |\n"


def shown(text: str | None) -> str:
    """A message as the tables show it."""
    if text is None:
        return "(real text unknown)"
    if not text:
        return "(empty message)"
    pattern = text.replace("{}", "...")
    return "(by case)" if pattern == "..." else f"`{pattern}`"


def operations(rule: Rule) -> str:
    """The operations that a row is about."""
    return ", ".join(sorted(f"`{operation.value}`" for operation in rule.operations))


def table() -> str:
    """The whole table."""
    return _HEAD + "".join(row(rule) for rule in RULES)


def other_row(other: OtherRefusal) -> str:
    """One line of the page's table."""
    status = "" if other.http_status == 400 else f", HTTP {other.http_status}"
    error = f"{other.exception}{status}: {shown(other.text)}"
    known = [other.evidence.value, other.text_evidence.value]
    return f"| `{other.id}` | {error} | {', '.join(known)} | {other.source} |\n"


def page() -> str:
    """The page of the refusals outside the rule table."""
    rows = map(other_row, BESIDE)
    head = "| refusal | error | evidence: type, text | source |\n|---|---|---|---|\n"
    return _PAGE_HEAD + head + "".join(rows)


def with_table(readme: str) -> str:
    """The README with its table between its marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
    PAGE.write_text(page())
