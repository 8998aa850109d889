"""The page of `attested-kms report` in a headless browser: keyboard, phone, no console error."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from simulator import cli
from tests.simulator.report_world import World, kms, refused, results, scenario

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOOK = Path(__file__).parent / "report_browser"

pytestmark = pytest.mark.timeout(300)  # npm fetches playwright-core.


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser is installed; any of {', '.join(BROWSERS)} would do")
    return found


@pytest.fixture(scope="module")
def seen(browser: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What look.mjs saw of a report."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("browser")
    for file in LOOK.iterdir():
        shutil.copy(file, folder)
    said = refused(f"<script>alert(1)</script> {'long' * 200}", "document.age")
    failed = scenario(
        "flow/opens",
        outcome="failed",
        reason="no " * 500,
        summary="It opens.",
        docstring="It opens.",
        source="x" * 300,
        steps=[kms(said, by="parent"), kms(said)],
    )
    world = World(folder)
    world.ran(results("sim", scenario(), failed), results("rehearsal"))
    page = folder / "report.html"
    assert cli.main(["report", *world.options, "-o", str(page)]) == 0
    for command in (
        [npm, "install", "--no-audit", "--no-fund", "--loglevel=error"],
        ["node", "look.mjs", browser, str(page)],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_is_wider_than_the_window_and_the_console_is_silent(seen: Any) -> None:
    assert len(seen["views"]) == 4
    for view in seen["views"]:
        assert view["wide"] == view["width"], view
        assert view["said"] == []
    grounds = {view["colorScheme"]: view["ground"] for view in seen["views"]}
    assert grounds["light"] != grounds["dark"]
    assert seen["said"] == []


def test_the_keyboard_goes_from_the_skip_link_to_the_scenarios(seen: Any) -> None:
    assert [name for name, _ in seen["order"]] == [
        *("skip", "search", "area", "outcome", "evidence", "button"),
        *("open-all", "close-all", "summary"),
    ]
    assert all(drawn for _, drawn in seen["order"])
    assert seen["byKeyboard"] is True


def test_filters_leave_what_fits(seen: Any) -> None:
    assert seen["all"] == 2
    assert seen["none"] == [0, True]
    assert seen["found"] == [1, "1 of 2 scenarios"]
    assert seen["failed"] == 1
    assert seen["followed"] is True


def test_without_scripts_it_can_be_read(seen: Any) -> None:
    assert (seen["withoutScript"], seen["filters"], seen["opens"]) == (2, False, True)
