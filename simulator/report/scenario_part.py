"""One scenario in the page: its line of the table, and what opens below it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from simulator.report.diagram import Diagram, Event, Mark, Shape, diagram
from simulator.report.markup import Content, Markup, element, joined
from simulator.report.matrix import RECORD, Row
from simulator.report.reading import Outcome, Place, Shown
from simulator.report.rules import rule_shown
from simulator.report.svg import draw

UNVERIFIED = "unverified on hardware"
COLUMNS = ("Last validation on hardware",)
_SIGNS = {
    Outcome.PASSED: "\u25cb",
    Outcome.FAILED: "\u2715",
    Outcome.ERROR: "\u2715",
    Outcome.SKIPPED: "\u2013",
}
"""A hollow ring for a pass; only what was seen on hardware is filled."""
_ON_HARDWARE = "\u25cf"
_MANY_LINES = 8
_FAILED = frozenset({Outcome.FAILED, Outcome.ERROR})
_WORDS = {
    RECORD: "the record of hardware",
    Place.SIMULATOR.value: "the simulator",
    Place.REHEARSAL.value: "the rehearsal",
    Place.HARDWARE.value: "hardware",
    Place.HOST.value: "the host",
}


def scenario(row: Row, places: Sequence[Place], columns: int) -> Markup:
    """A `tbody` of two rows: the scenario's line, and its details."""
    told = row.told
    cells = [_named(row), cell("Evidence", told.evidence if told else "\u2013", class_="evidence")]
    cells += [_outcome(place, row.shown.get(place)) for place in places]
    cells.append(_validation(row))
    details = element("details", _line(row), element("div", joined(_inside(row)), class_="inside"))
    return element(
        "tbody",
        element("tr", joined(cells), role="row"),
        element(
            "tr",
            element("td", details, colspan=columns, role="cell"),
            class_="more",
            role="row",
        ),
        class_="scenario",
        role="rowgroup",
        id=_anchor(row),
        data_area=row.area,
        data_evidence=told.evidence if told else "",
        data_outcome=" ".join(_filtered(row)),
    )


def _anchor(row: Row) -> str:
    """An id takes no blanks, and a scenario with parameters may have some."""
    return "-".join(row.id.split())


def _filtered(row: Row) -> Iterator[str]:
    """What the page's filter of outcomes may ask for."""
    for place, shown in row.shown.items():
        yield f"{place.value}:{shown.outcome.value}"
    yield "unverified" if row.record is None else "recorded"
    if row.differences:
        yield "different"


def cell(label: str, *content: Content, class_: str | None = None) -> Markup:
    """A cell of a table; the label stands before it where there is no room for columns."""
    value = element("span", *content, class_="value")
    return element("td", value, class_=class_, role="cell", data_label=label)


def _named(row: Row) -> Markup:
    area, _, name = row.id.partition("/")
    shown = element("code", element("span", f"{area}/", class_="quiet"), name)
    summary = row.told.summary if row.told else "No run here knows it: only a record is left."
    return element(
        "th", shown, element("span", summary, class_="said"), scope="row", role="rowheader"
    )


def _outcome(place: Place, shown: Shown | None) -> Markup:
    if shown is None:
        return cell(place.title, "not run", class_="absent")
    hardware = place is Place.HARDWARE and shown.outcome is Outcome.PASSED
    sign = _ON_HARDWARE if hardware else _SIGNS[shown.outcome]
    classes = f"outcome {shown.outcome.value}{' on-hardware' if hardware else ''}"
    return cell(
        place.title,
        element("span", sign, class_="sign", aria_hidden="true"),
        element("span", shown.outcome.value),
        element("span", shown.reason, class_="small") if shown.outcome is Outcome.SKIPPED else None,
        class_=classes,
    )


def _validation(row: Row) -> Markup:
    if row.record is None:
        return cell(COLUMNS[0], element("span", UNVERIFIED), class_="unverified")
    instance = row.record.provenance.get("instance_type", "instance type unknown")
    return cell(
        COLUMNS[0],
        element("span", _ON_HARDWARE, class_="sign", aria_hidden="true"),
        element("time", row.record.when[:10], datetime=row.record.when),
        element("span", instance, class_="small"),
        class_="outcome on-hardware",
    )


def _line(row: Row) -> Markup:
    """What can be opened, in a few words."""
    steps = max((len(each) for each in row.steps.values()), default=0)
    parts = [f"{steps} step{'' if steps == 1 else 's'}" if steps else "Details"]
    parts += [
        f"{shown.outcome.value} in {_WORDS[place.value]}"
        for place, shown in row.shown.items()
        if shown.outcome in _FAILED
    ]
    if row.differences:
        count = len(row.differences)
        parts.append(f"{count} difference{'' if count == 1 else 's'}")
    name = element("span", f" of {row.id}", class_="hidden-text")
    return element("summary", parts[0], name, "".join(f", {part}" for part in parts[1:]))


def _inside(row: Row) -> Iterator[Markup]:
    told = row.told
    if told is not None:
        for paragraph in re.split(r"\n\s*\n", told.docstring.strip() or told.summary):
            yield element("p", " ".join(paragraph.split()), class_="docstring")
        yield element("dl", joined(_facts(told)))
    for place, shown in row.shown.items():
        if shown.reason:
            what = f"{shown.outcome.value.capitalize()} in {_WORDS[place.value]}"
            yield element("h3", what)
            yield element("pre", shown.reason, class_=f"reason {shown.outcome.value}", tabindex=0)
    if row.differences:
        yield element("h3", "Differences")
        yield element("ul", joined(_differences(row)), class_="differences")
    yield from _diagrams(row)


def _facts(told: Shown) -> Iterator[Markup]:
    facts = (("Evidence", told.evidence), ("Source", told.source), ("Test", told.nodeid))
    for name, text in facts:
        if text:
            content = element("code", text) if name == "Test" else text
            yield joined([element("dt", name), element("dd", content)])


def _differences(row: Row) -> Iterator[Markup]:
    for each in row.differences:
        name = f"{each.place}: {each.what}" if each.place else each.what.capitalize()
        told = [*((_WORDS[target], value) for target, value in each.values)]
        if each.reason:
            told.append(("known, because", each.reason))
        values = [joined([element("dt", name), element("dd", value)]) for name, value in told]
        yield element("li", element("strong", name), element("dl", joined(values)))


def _diagrams(row: Row) -> Iterator[Markup]:
    """One for all targets that went the same way, the others apart."""
    drawn: dict[Diagram, list[str]] = {}
    for target, steps in row.steps.items():
        shown = None if target == RECORD else row.shown[Place(target)]
        failure = shown.reason if shown is not None and shown.outcome in _FAILED else ""
        drawn.setdefault(diagram(steps, failure), []).append(target)
    for made, targets in drawn.items():
        where = " and ".join(_WORDS[target] for target in targets)
        identifier = f"{_anchor(row)}-{targets[0]}"
        heading = f"Steps in {where}"
        yield element("h3", heading)
        picture = draw(made, f"{heading} of {row.id}, as listed below", identifier)
        yield element(
            "div",
            picture,
            class_="scroll",
            tabindex=0,
            role="region",
            aria_label=f"Diagram: {heading} of {row.id}",
        )
        yield element("details", element("summary", "The steps in words"), _in_words(made))
        yield from _rules(made)


def _in_words(made: Diagram) -> Markup:
    return element("ol", joined(_event(event) for event in made.events), class_="steps")


def _event(event: Event) -> Markup:
    lanes = " \u2192 ".join(lane.value for lane in event.lanes)
    marked = event.mark is not Mark.NONE
    sign = element("strong", f"\u2715 {event.mark.value}: ", class_="mark") if marked else None
    more = [
        joined([element("dt", name), element("dd", _whole(text))])
        for name, text in event.more
        if text
    ]
    number = f"Step {event.step}" if event.shape is not Shape.ANSWER else f"Step {event.step}, back"
    return element(
        "li",
        element("span", f"{number}. ", class_="quiet"),
        element("span", f"{lanes}: ", class_="quiet") if lanes else None,
        sign,
        event.text,
        element("dl", joined(more)) if more else None,
    )


def _whole(text: str) -> Content:
    """A text of many lines in a box that scrolls, by the keyboard too."""
    return element("pre", text, tabindex=0) if text.count("\n") >= _MANY_LINES else text


def _rules(made: Diagram) -> Iterator[Markup]:
    """Which rules refused, with what is known of them."""
    for identifier in dict.fromkeys(event.rule for event in made.events if event.rule):
        at = [str(event.step) for event in made.events if event.rule == identifier]
        steps = f"Step{'' if len(at) == 1 else 's'} {', '.join(at)}"
        said = f"{steps}: refused by the simulator's rule "
        head = element("p", said, element("code", identifier))
        yield element("div", head, _rule(identifier), class_="rule")


def _rule(identifier: str) -> Markup:
    rule = rule_shown(identifier)
    if rule is None:
        return element("p", "The tables of this version do not have it.")
    facts = (
        ("Exception", rule.exception),
        ("Text", _text_of(rule.text)),
        ("Evidence", ", ".join(f"{name} {value}" for name, value in rule.evidence)),
        ("Source", rule.source),
    )
    return element(
        "dl", joined(joined([element("dt", name), element("dd", each)]) for name, each in facts)
    )


def _text_of(text: str | None) -> str:
    match text:
        case None:
            return "unknown: what is shown is the simulator's own"
        case "":
            return "(empty)"
        case "{}":
            return "(by case)"
    return text.replace("{}", "\u2026")
