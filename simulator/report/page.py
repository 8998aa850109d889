"""The report as one HTML page that needs nothing beside it: no network, no script, no colour.

Style sheet and script are inlined, and the page's own policy (CSP) lets no other run, so that what
a target said cannot become a part of the page. The script only filters; without it everything is
there. Not its content: that is `matrix`, `scenario_part` and what they are made from.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from itertools import groupby

from simulator.report.markup import Markup, element, joined
from simulator.report.matrix import Matrix, sentence
from simulator.report.reading import Outcome, Place, Run
from simulator.report.scenario_part import COLUMNS, UNVERIFIED, cell, scenario

_TITLE = "attested-kms report"
_SIGNS = {
    Place.SIMULATOR: "The fakes of this project, on any machine.",
    Place.REHEARSAL: "The code for hardware, driving a simulated world.",
    Place.HARDWARE: "A real parent instance, a real enclave, real KMS.",
    Place.HOST: "The real package nitro-cli, on a machine without enclaves.",
}
_EVIDENCE = {
    "documented": "an AWS text or model says so",
    "recorded": "this suite saw it on real hardware",
    "reported": "somebody published a run on real hardware or real KMS",
    "inferred": "concluded from the others",
    "unknown": "nothing settles it; the fake had to choose",
}


def page(matrix: Matrix) -> str:
    """The whole document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy()),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", _TITLE),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(_asset("page.css"))),
    )
    body = element(
        "body",
        element("a", "Skip to the scenarios", href="#scenarios", class_="skip"),
        element("header", joined(_heading(matrix))),
        element("main", _summary(matrix), _scenarios(matrix)),
        element("footer", joined(_footer())),
        element("script", Markup(_asset("page.js"))),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


@cache
def _asset(name: str) -> str:
    return resources.files("simulator.report").joinpath(name).read_text(encoding="utf-8")


def _policy() -> str:
    """Nothing but this page's own style sheet and script, byte for byte."""

    def only(name: str) -> str:
        digest = hashlib.sha256(_asset(name).encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    return (
        f"default-src 'none'; style-src {only('page.css')}; script-src {only('page.js')}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _heading(matrix: Matrix) -> Iterator[Markup]:
    versions = sorted({run.version for run in matrix.runs.values() if run.version})
    yield element("p", " ".join(["attested-kms", *versions]), class_="brand")
    yield element("h1", "What the scenarios showed, and where")
    classes = "claim" if matrix.verified else "claim none"
    yield element("p", sentence(matrix), class_=classes)


def _summary(matrix: Matrix) -> Markup:
    names = ("Target", *(outcome.value for outcome in Outcome), "Last run")
    rows = (_summary_row(matrix, place) for place in matrix.places)
    return element(
        "section",
        element("h2", "Summary", id="summary"),
        element(
            "table",
            element("caption", "Scenarios by target and outcome", class_="hidden-text"),
            _table_head(names),
            element("tbody", joined(rows), _records_row(matrix), role="rowgroup"),
            class_="counts",
            role="table",
        ),
        joined(element("p", warning, class_="warning", role="note") for warning in matrix.warnings),
        aria_labelledby="summary",
    )


def _table_head(names: Sequence[str]) -> Markup:
    heads = [element("th", name, scope="col", role="columnheader") for name in names]
    return element("thead", element("tr", joined(heads), role="row"), role="rowgroup")


def _summary_row(matrix: Matrix, place: Place) -> Markup:
    run, counts = matrix.runs.get(place), matrix.counts(place)
    sign = element("span", _SIGNS[place], class_="small")
    cells = [element("th", place.title, sign, scope="row", role="rowheader")]
    for outcome in Outcome:
        number = str(counts[outcome]) if run else "\u2013"
        cells.append(cell(outcome.value, number))
    when = "not run" if run is None else _when(run.when)
    more = element("span", "" if run is None else ", ".join(_circumstances(run)), class_="small")
    cells.append(cell("Last run", element("span", when), more))
    return element("tr", joined(cells), role="row")


def _circumstances(run: Run) -> Iterator[str]:
    if "instance_type" in run.provenance:
        yield run.provenance["instance_type"]
    if run.transport:
        yield run.transport
    if run.deselected:
        yield f"{run.deselected} scenarios not chosen"


def _records_row(matrix: Matrix) -> Markup:
    sign = element("span", "What lies beside the suite as evidence.", class_="small")
    text = (
        f"{len(matrix.verified)} recorded, {len(matrix.rows) - len(matrix.verified)} {UNVERIFIED}"
    )
    return element(
        "tr",
        element("th", "Records of hardware", sign, scope="row", role="rowheader"),
        element("td", text, colspan=len(Outcome) + 1, role="cell"),
        role="row",
    )


def _when(when: str) -> str:
    return when.replace("T", " ").removesuffix("Z") + (" UTC" if when.endswith("Z") else "")


def _scenarios(matrix: Matrix) -> Markup:
    places = (*(place.title for place in matrix.places), COLUMNS[-1])
    heads = ("Scenario", "Evidence", *places)
    parts = [
        part
        for area, rows in groupby(matrix.rows, lambda row: row.area)
        for part in (
            _area(area, len(heads)),
            *(scenario(row, matrix.places, len(heads)) for row in rows),
        )
    ]
    return element(
        "section",
        element("h2", "Scenarios", id="scenarios", tabindex=-1),
        _filters(matrix),
        element(
            "table",
            element("caption", "Each scenario beside the targets", class_="hidden-text"),
            _table_head(heads),
            joined(parts),
            class_="matrix",
            role="table",
        ),
        element("p", "No scenario fits these filters.", class_="nothing", hidden=True),
        aria_labelledby="scenarios",
    )


def _area(area: str, columns: int) -> Markup:
    name = area.replace("-", " ").capitalize()
    head = element("th", name, colspan=columns, scope="rowgroup", role="rowheader")
    line = element("tr", head, role="row")
    return element("tbody", line, class_="area", role="rowgroup", data_area=area)


def _filters(matrix: Matrix) -> Markup:
    areas = Counter(row.area for row in matrix.rows)
    evidence = Counter(row.told.evidence for row in matrix.rows if row.told is not None)
    outcomes = [
        (f"{place.value}:{outcome.value}", f"{place.title}: {outcome.value}")
        for place in matrix.places
        for outcome in Outcome
        if matrix.counts(place)[outcome]
    ]
    outcomes += [("unverified", UNVERIFIED), ("recorded", "recorded on hardware")]
    outcomes += [("different", "with differences")]
    search = element("input", type="search", id="search", autocomplete="off", spellcheck="false")
    return element(
        "form",
        element("label", "Search", search, for_="search"),
        _choice("area", "Area", [(area, f"{area} ({areas[area]})") for area in sorted(areas)]),
        _choice("outcome", "Outcome", outcomes),
        _choice("evidence", "Evidence", [(each, each) for each in _EVIDENCE if evidence[each]]),
        element(
            "div",
            element("button", "Reset", type="reset"),
            element("button", "Open all", type="button", id="open-all"),
            element("button", "Close all", type="button", id="close-all"),
            class_="buttons",
        ),
        element("p", "", id="count", role="status"),
        role="search",
        aria_label="Filter the scenarios",
        hidden=True,
    )


def _choice(name: str, label: str, options: list[tuple[str, str]]) -> Markup:
    choices = [element("option", "all", value="")]
    choices += [element("option", text, value=value) for value, text in options]
    return element("label", label, element("select", joined(choices), id=name), for_=name)


def _footer() -> Iterator[Markup]:
    yield element("h2", "How to read it")
    items = [
        joined([element("dt", name), element("dd", meaning)]) for name, meaning in _EVIDENCE.items()
    ]
    yield element("p", "Evidence says how anybody knows what a scenario expects:")
    yield element("dl", joined(items))
    yield element(
        "p",
        "A refusal in a diagram is mostly what the scenario is about: a cross marks who refused, "
        "not that the scenario failed. Real KMS does not say which of its rules refused; the rules "
        "named here are those of the simulator.",
    )
