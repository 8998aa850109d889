"""The README's tables of errors, made from the code. Run it to write them into the README."""

from __future__ import annotations

from pathlib import Path

from kms_fake.catalogue import BESIDE
from kms_fake.other_refusals import OtherRefusal
from kms_fake.rules import RULES, Rule
from kms_fake.shapes import Operation

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN = "<!-- begin rules: ./toxw -e py checks that this is what kms_fake/rules.py says -->\n"
END = "<!-- end rules -->\n"
BEGIN_OTHERS = "<!-- begin others -->\n"
END_OTHERS = "<!-- end others -->\n"

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
    """One line of the second table."""
    status = "" if other.http_status == 400 else f", HTTP {other.http_status}"
    error = f"{other.exception}{status}: {shown(other.text)}"
    known = [other.evidence.value, other.text_evidence.value]
    return f"| `{other.id}` | {error} | {', '.join(known)} | {other.source} |\n"


def others() -> str:
    """The table of the refusals outside the rule table."""
    rows = map(other_row, BESIDE)
    head = "| refusal | error | evidence: type, text | source |\n|---|---|---|---|\n"
    return head + "".join(rows)


def with_tables(readme: str) -> str:
    """The README with both tables between their marks."""
    for begin, end, content in ((BEGIN, END, table()), (BEGIN_OTHERS, END_OTHERS, others())):
        before, _, rest = readme.partition(begin)
        _, _, after = rest.partition(end)
        readme = f"{before}{begin}{content}{end}{after}"
    return readme


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
