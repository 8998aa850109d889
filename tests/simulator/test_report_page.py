"""The page of `attested-kms report`: what it says, how it is built, and that nothing breaks it."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from pathlib import Path

import pytest

from simulator.report.matrix import matrix
from simulator.report.page import page
from simulator.report.reading import read_records, read_runs
from tests.simulator.report_html import Node, read
from tests.simulator.report_world import (
    OPENED,
    STEPS,
    World,
    kms,
    record,
    refused,
    results,
    scenario,
)

SCRIPT = "<script>alert(1)</script>"
CONTROLS = "\x00\x1b[31m\x7f\u202e\ud800]]>"
OTHER = "flow/opens"
SKIPPED = "document/old"
PARENT = "parent/bug-9"


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    return World(tmp_path)


def made(world: World) -> str:
    return page(matrix(read_runs(world.results), read_records(world.records)))


def command(words: str, exit_code: int, **more: str) -> dict[str, object]:
    return {"kind": "command", "words": words.split(), "exit_code": exit_code, **more}


def full(world: World) -> Node:
    """A page with something of everything."""
    hostile = scenario(
        OTHER,
        outcome="failed",
        reason=f"assert it\n{SCRIPT}{CONTROLS}",
        source=SCRIPT,
        docstring=SCRIPT,
        steps=[kms(refused(SCRIPT + CONTROLS)), {"kind": "boot", "debug": SCRIPT}],
    )
    skipped = scenario(
        SKIPPED, outcome="skipped", reason="the target sim lacks pass-hours", steps=[]
    )
    commands = [
        command("nitro-cli run-enclave --cpu-count 2", 39, stderr=f"[ E29 ] {SCRIPT}\nmore"),
        command("nitro-cli run-enclave", 0),
        {"kind": "script", "text": "dnf install\nx", "exit_code": 1, "stdout": "", "stderr": ""},
        {"kind": "systems-manager", "operation": "SendCommand", "code": "MaxDocumentSizeExceeded"},
    ]
    world.ran(
        results("sim", scenario(), hostile, skipped, scenario(PARENT, steps=commands)),
        results("rehearsal", scenario(), scenario(OTHER)),
    )
    return read(made(world))


def row(document: Node, identifier: str) -> Node:
    """The `tbody` of a scenario."""
    return document.by_id(identifier)


def cells(document: Node, identifier: str) -> dict[str | None, str]:
    shown = row(document, identifier).all("tr")[0].all("td")
    return {cell.attributes["data-label"]: cell.text for cell in shown}


def test_a_pass_elsewhere_is_never_one_on_hardware(world: World) -> None:
    document = full(world)
    assert cells(document, "bugs/bug-8-2-no-public-key") == {
        "Evidence": "reported",
        "Simulator": "\u25cbpassed",
        "Rehearsal": "\u25cbpassed",
        "Hardware": "not run",
        "Last validation on hardware": "unverified on hardware",
    }
    assert "Nothing has been recorded on hardware." in document.one("p", "claim").text
    assert [node for node in document if "on-hardware" in node.classes] == []
    body = document.one("body")
    assert "\u25cf" not in body.text  # The filled sign.
    assert body.text.count("unverified on hardware") >= 4


def test_what_was_recorded_is_told_with_its_date(world: World) -> None:
    world.ran(results("sim", scenario(), scenario(OTHER)))
    world.recorded(record())
    document = read(made(world))
    assert cells(document, "bugs/bug-8-2-no-public-key")["Last validation on hardware"] == (
        "\u25cf2026-12-01m6i.xlarge"
    )
    assert cells(document, OTHER)["Last validation on hardware"] == "unverified on hardware"
    said = document.one("p", "claim").text
    assert said.startswith("1 of 2 scenarios have been recorded on hardware, the last on 2026-12-0")
    assert "The other 1 is unverified on hardware" in said


def test_a_skip_and_a_failure_say_why(world: World) -> None:
    document = full(world)
    assert "the target sim lacks pass-hours" in cells(document, SKIPPED)["Simulator"]
    failed = row(document, OTHER)
    assert "failed in the simulator" in failed.all("summary")[0].text
    assert f"assert it\n{SCRIPT}" in failed.one("pre", "failed").text
    assert failed.attributes["data-outcome"] == "sim:failed rehearsal:passed unverified different"


def test_a_diagram_marks_who_refused_in_words_too(world: World) -> None:
    shown = row(full(world), "bugs/bug-8-2-no-public-key")
    diagram = shown.one("svg", "diagram")  # One: the rehearsal went the same way.
    lanes = [text.text for text in diagram.all("text", "lane")]
    assert lanes == ["NSM", "Enclave program", "Host proxy", "KMS"]
    marked = [group for group in diagram.all("g") if "marked" in group.classes]
    assert len(marked) == 1
    assert "\u2715 refused: ValidationException: You must specify a" in marked[0].text
    assert marked[0].all("circle", "sign")
    assert "Steps in the simulator and the rehearsal" in [each.text for each in shown.all("h3")]
    steps = [step.text for step in shown.one("ol", "steps").all("li")]
    assert steps[2].startswith("Step 3. Enclave program \u2192 NSM: Attestation, no public key")
    assert (
        "Step 3, back. KMS \u2192 Host proxy \u2192 Enclave program: \u2715 refused: " in steps[5]
    )
    rule = shown.one("div", "rule").text
    assert "Step 3: refused by the simulator's rule public-key.missing" in rule
    assert "You must specify a recipient public key in this request." in rule
    assert "type reported, text reported, order inferred" in rule
    assert "field notes, bug 8.2" in rule


def test_a_parent_instance_has_lanes_of_its_own(world: World) -> None:
    diagram = row(full(world), PARENT).one("svg", "diagram")
    lanes = [text.text for text in diagram.all("text", "lane")]
    assert lanes == ["Deployer", "Systems Manager", "Instance", "nitro-cli", "Enclave program"]
    marked = [group.text for group in diagram.all("g") if "marked" in group.classes]
    assert [text.split(":")[0] for text in marked] == [
        "\u2715 failed",
        "\u2715 failed",
        "\u2715 refused",
    ]
    assert "exit code 39" in marked[0]


def test_what_an_enclave_or_an_sdk_refuses_is_drawn_where_it_stops(world: World) -> None:
    not_taken = {"outcome": "refused", "reason": "plaintext", "detail": "in clear", "members": {}}
    not_sent = {"outcome": "not-sent", "message": "Invalid type"}
    lost = {"outcome": "failed", "message": "ConnectionError: gone"}
    steps = [kms(not_taken), kms(not_sent, by="parent"), kms(lost), kms(OPENED)]
    world.ran(results("sim", scenario(steps=steps)))
    diagram = read(made(world)).one("svg", "diagram")
    said = [group.text for group in diagram.all("g") if "marked" in group.classes]
    assert [text.split(":")[0] for text in said] == [
        "\u2715 not taken",
        "\u2715 not sent",
        "\u2715 failed",
    ]


def test_differences_are_told(world: World) -> None:
    world.ran(results("sim", scenario(), scenario(OTHER)))
    other = [*STEPS[:2], kms(refused("Something else"), public_key="absent"), STEPS[3]]
    world.recorded(record(steps=other), record(OTHER))
    document = read(made(world))
    shown = row(document, "bugs/bug-8-2-no-public-key")
    assert "1 difference" in shown.all("summary")[0].text
    told = shown.one("ul", "differences").text
    assert told.startswith("Decrypt by enclave: messagethe simulatorYou must specify a recipient")
    assert told.endswith("the record of hardwareSomething else")
    # A rule is named by fakes only, which is no difference.
    assert row(document, OTHER).all("ul", "differences") == []


def test_nothing_that_was_said_becomes_markup(world: World) -> None:
    document = full(world)
    assert len(document.all("script")) == 1
    assert document.one("body").text.count(SCRIPT) >= 6
    names = {name for node in document for name in node.attributes}
    assert not [name for name in names if name.startswith("on") or name == "style"]
    text = made(world)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    assert text.encode()


def test_the_page_allows_itself_only_what_it_brings(world: World) -> None:
    document = full(world)
    [policy] = [
        meta.attributes["content"] or ""
        for meta in document.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    for name in ("style", "script"):
        digest = hashlib.sha256(document.one(name).text.encode()).digest()
        assert f"{name}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert policy.startswith("default-src 'none';")
    addresses = [
        value
        for node in document
        for name, value in node.attributes.items()
        if name in {"href", "src", "action", "srcset"}
    ]
    assert sorted(filter(None, addresses)) == ["#scenarios", "data:,"]
    assert not re.search(r"url\(|@import|https?:", document.one("style").text)


def test_it_can_be_used_by_keyboard_and_screen_reader(world: World) -> None:
    document = full(world)
    identifiers = [node.attributes["id"] for node in document if "id" in node.attributes]
    assert len(set(identifiers)) == len(identifiers)
    for node in document:
        for name in ("aria-labelledby", "for"):
            assert name not in node.attributes or node.attributes[name] in identifiers
    assert document.one("html").attributes["lang"] == "en"
    assert len(document.all("h1")) == len(document.all("main")) == 1
    assert document.one("body").all("a")[0].attributes["href"] == "#scenarios"
    assert all(head.attributes.get("scope") for head in document.all("th"))
    assert all(table.all("caption") for table in document.all("table"))
    for details in document.all("details"):
        assert isinstance(details.inside[0], Node)
        assert details.inside[0].name == "summary"
    for box in document.all("div", "scroll"):
        assert (box.attributes["tabindex"], box.attributes["role"]) == ("0", "region")
        assert box.attributes["aria-label"]
    for control in (*document.all("input"), *document.all("select")):
        labels = [
            label
            for label in document.all("label")
            if label.attributes["for"] == control.attributes["id"]
        ]
        assert len(labels) == 1
    levels = [int(node.name[1]) for node in document if re.fullmatch("h[1-6]", node.name)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_without_the_script_all_is_there(world: World) -> None:
    document = full(world)
    hidden = [node.name for node in document if "hidden" in node.attributes]
    assert hidden == ["form", "p"]  # The filters, and that none fits.


def test_filters_offer_what_there_is(world: World) -> None:
    document = full(world)
    options = {
        select.attributes["id"]: [option.attributes["value"] for option in select.all("option")]
        for select in document.all("select")
    }
    assert options == {
        "area": ["", "bugs", "document", "flow", "parent"],
        "outcome": [
            *("", "sim:passed", "sim:failed", "sim:skipped", "rehearsal:passed"),
            *("unverified", "recorded", "different"),
        ],
        "evidence": ["", "reported"],
    }


def luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_both_palettes_have_contrast(world: World) -> None:
    style = full(world).one("style").text
    palettes = [dict(re.findall(r"--([\w-]+): (#\w+);", block)) for block in style.split(":root")]
    light, dark, paper = filter(None, palettes)
    for palette in (light, {**light, **dark}, {**light, **paper}):
        for ground in ("ground", "raised"):
            for ink in ("text", "quiet", "link", "good", "bad", "open"):
                assert contrast(palette[ink], palette[ground]) >= 4.5, (ink, ground, palette)
        assert contrast(palette["open"], palette["open-ground"]) >= 4.5
        assert contrast(palette["text"], palette["open-ground"]) >= 4.5
    for wish in ("prefers-reduced-motion", "prefers-color-scheme: dark", "@media print"):
        assert wish in style


def test_the_same_files_make_the_same_page(world: World) -> None:
    full(world)
    first = made(world)
    for name in ("sim", "rehearsal"):
        file = world.results / f"{name}.json"
        run = json.loads(file.read_text())
        run["scenarios"].reverse()
        file.write_text(json.dumps(run))
    assert made(world) == first
