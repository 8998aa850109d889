"""Where scenarios meet targets: which target runs, what each scenario must declare, the table.

The only file that knows more than one target. Options:

    --target sim | hardware    what the scenarios run against (default sim)
    --transport auto | fabric | supervised | open-trap
                               how the simulator's programs reach its NSM and vsock (default auto)
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scenarios.target import TargetUnavailable

if TYPE_CHECKING:
    from scenarios.target import Target

TARGETS = {
    "sim": ("simulator.target", "SimulatorTarget"),
    "hardware": ("real_hw.target", "HardwareTarget"),
}

SCENARIOS = Path(__file__).parent / "scenarios"

EVIDENCE = {
    "documented": "an AWS text or model says so",
    "recorded": "this suite saw it on real hardware; a record lies beside the scenario",
    "reported": "somebody published a run on real hardware or real KMS",
    "inferred": "concluded from the others",
}

_stands_on: list[str] = []
"""How the simulator's programs reach NSM and vsock, in words."""
_outcomes: dict[tuple[str, str], str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --target."""
    parser.addoption(
        "--target",
        choices=sorted(TARGETS),
        default="sim",
        help="what the scenarios run against",
    )
    parser.addoption(
        "--transport",
        choices=("auto", "fabric", "supervised", "open-trap"),
        default="auto",
        help="how the simulator's programs reach NSM and vsock: by Unix sockets (fabric); as on "
        "hardware, under the supervisor, by its best technique or by the one that needs nothing "
        "(open-trap); supervised where this machine can (auto)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers of scenarios."""
    for name, meaning in EVIDENCE.items():
        config.addinivalue_line("markers", f"{name}(source): {meaning}")
    config.addinivalue_line("markers", "needs(*capabilities): skipped where the target lacks one")


def scenario_id(item: pytest.Item) -> str | None:
    """`area/name` of a scenario; None for an ordinary test."""
    if item.path.parent != SCENARIOS:
        return None
    area = item.path.stem.removeprefix("test_")
    return f"{area}/{item.name.removeprefix('test_')}".replace("_", "-")


def evidence(item: pytest.Item) -> str:
    """The one evidence marker of a scenario."""
    return next(mark.name for mark in item.iter_markers() if mark.name in EVIDENCE)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a scenario that does not say what must happen and how anybody knows.

    Only the simulator lets minutes pass in no time; elsewhere no scenario has a time limit.
    """
    if config.getoption("--target") != "sim":
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)
    mistakes = [
        f"{item.nodeid}: {mistake}"
        for item in items
        if scenario_id(item) is not None
        for mistake in _mistakes(item)
    ]
    if mistakes:
        raise pytest.UsageError("\n".join(mistakes))


def _mistakes(item: pytest.Item) -> Iterator[str]:
    marks = [mark for mark in item.iter_markers() if mark.name in EVIDENCE]
    if len(marks) != 1:
        yield f"has {len(marks)} evidence markers; give exactly one of {', '.join(EVIDENCE)}"
    for mark in marks:
        if not (len(mark.args) == 1 and isinstance(mark.args[0], str) and mark.args[0]):
            yield f"its marker {mark.name} names no source"
        if mark.name == "recorded" and not _record(item).exists():
            yield f"is marked recorded and {_record(item).name} does not exist"
    if not (getattr(item, "function", None) and item.function.__doc__):  # type: ignore[attr-defined]
        yield "has no docstring; say who does what and what must happen"


def _record(item: pytest.Item) -> Path:
    return item.path.with_name(f"{item.name}.validation.json")


@pytest.fixture(scope="session")
def session_target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """The target of this run, opened once."""
    chosen = request.config.getoption("--target")
    module, name = TARGETS[chosen]
    options = {"transport": request.config.getoption("--transport")} if chosen == "sim" else {}
    try:
        target: Target = getattr(importlib.import_module(module), name)(**options)
    except TargetUnavailable as error:
        pytest.exit(str(error), returncode=1)
    _stands_on.append(getattr(target, "stands_on", ""))
    yield target
    target.close()


@pytest.fixture
def target(request: pytest.FixtureRequest, session_target: Target) -> Target:
    """The target, if it has every capability that the scenario needs."""
    for mark in request.node.iter_markers("needs"):
        for capability in mark.args:
            if capability not in session_target.capabilities:
                pytest.skip(f"the target {session_target.name} lacks {capability.value}")
    return session_target


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what came of each scenario for the table."""
    report = yield
    identifier = scenario_id(item)
    if identifier is not None and (report.when == "call" or report.outcome != "passed"):
        _outcomes[identifier, evidence(item)] = report.outcome
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table of scenarios with their evidence, and the counts."""
    if not _outcomes:
        return
    rows = [(*scenario, outcome) for scenario, outcome in sorted(_outcomes.items())]
    width = max(len(identifier) for identifier, _, _ in rows)
    name = config.getoption("--target")
    terminalreporter.section(f"scenarios against {name}")
    for identifier, source, outcome in rows:
        terminalreporter.write_line(f"{identifier:{width}}  {source:10}  {outcome}")
    counts = Counter((source, outcome) for _, source, outcome in rows)
    terminalreporter.write_line("")
    for source, outcome in sorted(counts):
        terminalreporter.write_line(f"{source:10}  {outcome:8} {counts[source, outcome]:4}")
    terminalreporter.write_line(f"{'total':10}  {'':8} {len(rows):4}")
    if name == "sim":
        for words in _stands_on:
            terminalreporter.write_line(f"Its programs used {words}.")
        terminalreporter.write_line("A pass in the simulator is not a pass on hardware.")
