"""An explanation as people read it, and as programs do (simulator/schemas/explain.schema.json)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kms_fake.catalogue import ROWS, evidence_of
from simulator.explanations.match import Found
from simulator.explanations.model import Explanation, Sdk
from simulator.explanations.table import EXPLANATIONS
from simulator.explanations.wrapping import wrapped

ADVICE = (
    "Give the whole message, with the exception's name and the operation.",
    "`attested-kms inspect document.bin` names every check that the document fails.",
    (
        "Send the same call to `attested-kms serve`: the header x-attested-kms-rule names the "
        "rule, and GET /calls of its management port lists what was asked."
    ),
    "`attested-kms explain --list` shows what is known.",
)
"""What to do about a text that nothing explains."""

_EXCERPT = 200


def evidence(explanation: Explanation) -> Mapping[str, str]:
    """How sure it is: of the exception's type and text for a row of the fake, or as a whole."""
    known = evidence_of(explanation.id)
    if known is not None:
        return {what: known[what] or "" for what in ("type", "text")}
    if explanation.claim is not None:
        return {"explanation": explanation.claim.evidence.value}
    raise LookupError(f"{explanation.id} is no row and claims nothing")


def source(explanation: Explanation) -> str:
    """Where that is known from."""
    row = ROWS.get(explanation.id)
    if row is not None:
        return row.source
    return explanation.claim.source if explanation.claim else ""


def rules(explanation: Explanation) -> Sequence[str]:
    """The rows of the fake that answer so."""
    own = (explanation.id,) if explanation.id in ROWS else ()
    return (*own, *explanation.rules)


def as_json(found: Sequence[Found], text: str, sdk: Sdk | None) -> dict[str, Any]:
    """The answer for programs."""
    return {
        "explained": bool(found),
        "explanations": [
            {"found": _excerpt(match, text), **_entry(match.explanation, sdk)} for match in found
        ],
        "advice": [] if found else list(ADVICE),
    }


def list_as_json(sdk: Sdk | None) -> dict[str, Any]:
    """Every explanation, for programs."""
    entries = [{"found": None, **_entry(explanation, sdk)} for explanation in EXPLANATIONS]
    return {"explained": True, "explanations": entries, "advice": []}


def _excerpt(match: Found, text: str) -> str:
    return " ".join(text[match.span.start : match.span.end].split())[:_EXCERPT]


def _entry(explanation: Explanation, sdk: Sdk | None) -> dict[str, Any]:
    return {
        "id": explanation.id,
        "rules": list(rules(explanation)),
        "error": explanation.error,
        "fix": explanation.fix,
        "fix_per_sdk": {name.value: fix for name, fix in fixes(explanation, sdk)},
        "meaning": explanation.meaning,
        "causes": [
            {"cause": cause.what, "how_to_tell": cause.tell or None} for cause in explanation.causes
        ],
        "field_note": explanation.field_note or None,
        "correction": explanation.correction or None,
        "evidence": dict(evidence(explanation)),
        "source": source(explanation),
    }


def fixes(explanation: Explanation, sdk: Sdk | None = None) -> Iterator[tuple[Sdk, str]]:
    """The fixes per SDK, of one alone if it is given."""
    for name in Sdk:
        if name in explanation.per_sdk and sdk in (None, name):
            yield name, explanation.per_sdk[name]


def as_text(found: Sequence[Found], sdk: Sdk | None) -> str:
    """The answer for people."""
    if found:
        return "\n\n".join(_shown(match.explanation, sdk) for match in found)
    head = f"unknown: none of the {len(EXPLANATIONS)} explanations fits this text. What helps:"
    return "\n".join((head, *(wrapped("  - ", "    ", line) for line in ADVICE)))


def list_as_text() -> str:
    """Every explanation, a line or two for each."""
    return "\n".join(f"{item.id}\n{wrapped('    ', '    ', item.error)}" for item in EXPLANATIONS)


def _shown(explanation: Explanation, sdk: Sdk | None) -> str:
    lines = [explanation.id, wrapped("  ", "  ", explanation.error), ""]
    lines.append(_labelled("Fix", explanation.fix))
    lines += [_labelled(f"  {name.label}", fix) for name, fix in fixes(explanation, sdk)]
    lines.append(_labelled("Meaning", explanation.meaning))
    for number, cause in enumerate(explanation.causes, 1):
        lines.append(_labelled("Causes" if number == 1 else "", f"{number}. {cause.what}"))
        if cause.tell:
            lines.append(_labelled("", f"   Tell: {cause.tell}"))
    if explanation.field_note:
        lines.append(_labelled("Field notes", f"bug {explanation.field_note}"))
    if explanation.correction:
        lines.append(_labelled("", explanation.correction))
    others = [rule for rule in rules(explanation) if rule != explanation.id]
    if others:
        lines.append(_labelled("Rules", ", ".join(others)))
    known = ", ".join(f"{what} {how}" for what, how in evidence(explanation).items())
    lines.append(_labelled("Evidence", f"{known}: {source(explanation)}"))
    return "\n".join(lines)


def _labelled(label: str, text: str) -> str:
    indent = 16 + len(text) - len(text.lstrip())
    return wrapped(f"  {label:<14}", " " * indent, text)
