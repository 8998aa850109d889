"""Where scenarios meet targets: which target runs, what each scenario must declare, the table.

The only file that knows more than one target. Options:

    --target sim | rehearsal | hardware | host
                               what the scenarios run against (default sim): hardware is this parent
                               instance, rehearsal the same code within `attested-kms rehearsal`,
                               host any machine with the package nitro-cli
    --transport auto | fabric | supervised | open-trap
                               how the simulator's programs reach its NSM and vsock (default auto)
    --results FOLDER           where TARGET.json goes, with what each scenario did and what came of
                               it (default .results beside this file)
    --records FOLDER           where passing scenarios are recorded (default: beside the scenarios,
                               for runs on real hardware only)
    --revalidate-older-than DAYS
                               only scenarios without a record, or with one of DAYS or more
    --dry-run, --plan FILE, --show-requests
                               tell what a run on hardware would do, and do nothing there
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from real_hw import dry_run
from scenarios.known_differences import KNOWN_DIFFERENCES
from scenarios.normalising import normalised
from scenarios.recording import NEVER, Due, days, found
from scenarios.records import HARDWARE, BadRecord, Record, file_name
from scenarios.results import ScenarioResult, summary_of
from scenarios.suite import Suite
from scenarios.target import Capability, TargetUnavailable
from scenarios.watching import Watched

if TYPE_CHECKING:
    from scenarios.target import Observe, Target

TARGETS = {
    "sim": ("simulator.target", "SimulatorTarget"),
    "rehearsal": ("real_hw.target", "HardwareTarget"),
    "hardware": ("real_hw.target", "HardwareTarget"),
    "host": ("real_hw.host_target", "HostTarget"),
}
REHEARSAL = "ATTESTED_KMS_REHEARSAL"
"""The variable that names the file about the world of a rehearsal."""

SCENARIOS = Path(__file__).parent / "scenarios"

EVIDENCE = {
    "documented": "an AWS text or model says so",
    "recorded": "this suite saw it on real hardware; a record lies beside the scenario",
    "reported": "somebody published a run on real hardware or real KMS",
    "inferred": "concluded from the others",
}


_suite = Suite()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --target and the others."""
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
    parser.addoption(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="where TARGET.json goes, with what each scenario did and what came of it (default "
        ".results beside conftest.py)",
    )
    parser.addoption(
        "--records",
        type=Path,
        metavar="FOLDER",
        help="where passing scenarios are recorded (default: beside the scenarios, and only if the "
        "enclave attests under the root certificate of AWS)",
    )
    parser.addoption(
        "--revalidate-older-than",
        type=days,
        metavar="DAYS",
        help="run only scenarios without a record, or with one of DAYS or more",
    )
    dry_run.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers of scenarios. Raises pytest.UsageError."""
    target = config.getoption("--target")
    if config.getoption("--records") and target in NEVER:
        raise pytest.UsageError(
            f"--records with --target {target}: what comes without an enclave's hardware is no "
            "evidence, so it is not recorded; it is among the results (--results)."
        )
    if dry_run.is_asked(config):
        config.pluginmanager.register(_telling(config))
    world = _world() if _chosen(config) == "rehearsal" else None
    if world is not None and config.getoption("--records") is None:
        config.option.records = Path(world["records"])
    for name, meaning in EVIDENCE.items():
        config.addinivalue_line("markers", f"{name}(source): {meaning}")
    config.addinivalue_line("markers", "needs(*capabilities): skipped where the target lacks one")


def scenario_id(item: pytest.Item) -> str | None:
    """`area/name` of a scenario; None for an ordinary test."""
    if item.path.parent != SCENARIOS:
        return None
    area = item.path.stem.removeprefix("test_")
    return f"{area}/{item.name.removeprefix('test_')}".replace("_", "-")


def evidence(item: pytest.Item) -> pytest.Mark:
    """The one evidence marker of a scenario."""
    return next(mark for mark in item.iter_markers() if mark.name in EVIDENCE)


def docstring(item: pytest.Item) -> str:
    """What a scenario says must happen."""
    return inspect.getdoc(getattr(item, "function", None)) or ""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, object, object]:
    """Refuse a scenario that does not say what must happen and how anybody knows.

    Only the simulator lets minutes pass in no time; elsewhere no scenario has a time limit, and
    those that want the same enclave are together, for each boot costs.
    """
    if config.getoption("--target") != "sim":
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)
        items.sort(key=_wants)
    for item in items:
        name = scenario_id(item)
        if name is not None:
            kept = _sound(SCENARIOS / _record_name(item), name, target=HARDWARE)
            if kept is not None:
                _suite.hardware[item.nodeid] = kept
            folder = config.getoption("--records")
            if folder is not None:
                _sound(folder / _record_name(item), name)
    mistakes = [
        f"{item.nodeid}: {mistake}"
        for item in items
        if scenario_id(item) is not None
        for mistake in _mistakes(item)
    ]
    if mistakes:
        raise pytest.UsageError("\n".join(mistakes))
    answer = yield
    if config.getoption("--revalidate-older-than") is not None:
        _keep_what_is_due(config, items)
    return answer


def _keep_what_is_due(config: pytest.Config, items: list[pytest.Item]) -> None:
    _suite.due = Due(config.getoption("--revalidate-older-than"))
    folder = config.getoption("--records")
    chosen: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        name = scenario_id(item)
        kept = _suite.hardware.get(item.nodeid)
        if name is not None and folder is not None:
            kept = _sound(folder / _record_name(item), name)
        (chosen if name is None or _suite.due.chooses(kept) else left).append(item)
    items[:] = chosen
    config.hook.pytest_deselected(items=left)


def _sound(file: Path, scenario: str, *, target: str | None = None) -> Record | None:
    """A record that may be there. Raises pytest.UsageError for a damaged one."""
    try:
        return found(file, scenario, target=target)
    except BadRecord as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_collectionfinish() -> str | None:
    """Say how many scenarios are due."""
    return None if _suite.due is None else str(_suite.due)


def _wants(item: pytest.Item) -> int:
    """Which enclave a scenario wants: the suite's own, one in debug mode, those of nitro-cli."""
    needs = {capability for mark in item.iter_markers("needs") for capability in mark.args}
    if needs & {Capability.NITRO_CLI, Capability.PARENT_INSTANCE}:
        return 2
    return 1 if Capability.DEBUG_ENCLAVE in needs else 0


def _mistakes(item: pytest.Item) -> Iterator[str]:
    marks = [mark for mark in item.iter_markers() if mark.name in EVIDENCE]
    if len(marks) != 1:
        yield f"has {len(marks)} evidence markers; give exactly one of {', '.join(EVIDENCE)}"
    for mark in marks:
        if not (len(mark.args) == 1 and isinstance(mark.args[0], str) and mark.args[0]):
            yield f"its marker {mark.name} names no source"
        if mark.name == "recorded" and item.nodeid not in _suite.hardware:
            yield f"is marked recorded and {_record_name(item)} does not exist"
    if not docstring(item):
        yield "has no docstring; say who does what and what must happen"
    named = any(entry.scenario == scenario_id(item) for entry in KNOWN_DIFFERENCES)
    if named and item.nodeid not in _suite.hardware:
        yield "is in scenarios/known_differences.py and has no record to differ from"


def _record_name(item: pytest.Item) -> str:
    return file_name(item.path.stem, item.name)


def _results(config: pytest.Config) -> Path:
    """Where results go."""
    folder: Path = config.getoption("--results") or Path(__file__).with_name(".results")
    return folder


def _chosen(config: pytest.Config) -> str:
    """The target's name: a run that only tells asks none but the simulator."""
    return "sim" if dry_run.is_asked(config) else str(config.getoption("--target"))


def _telling(config: pytest.Config) -> dry_run.DryRun:
    """What tells of a run on hardware."""
    results = _results(config) / "sim.json"
    return dry_run.DryRun(config, scenario_id, evidence, _calls_of_kms, results)


def _calls_of_kms() -> Sequence[Any]:
    """What the simulator's KMS was asked since the last time."""
    if _suite.target is None:
        return ()
    calls = _suite.target.fake.calls
    told: Sequence[Any] = calls.snapshot()
    calls.clear()
    return told


def _options_of_target(chosen: str, config: pytest.Config) -> dict[str, Any]:
    """What the target is made with. Raises TargetUnavailable."""
    if chosen == "sim":
        return {"transport": config.getoption("--transport")}
    folder = _results(config).absolute() / "runs"
    options: dict[str, Any] = {"folder": folder, "say": _say_to(config)}
    if chosen == "rehearsal":
        from simulator.rehearsal.passing import Passing

        world = _world()
        if world is None:
            raise TargetUnavailable(
                "There is no world to rehearse in. Run the suite within it: "
                "attested-kms rehearsal -- pytest scenarios --target rehearsal"
            )
        passing = Passing(world["management_endpoint"])
        options |= {"launcher": world["launcher"], "wait": passing.wait, "clock": passing.clock}
    return options


def _world() -> Mapping[str, Any] | None:
    """What the world of a rehearsal says of itself; None outside one."""
    told = os.environ.get(REHEARSAL)
    if not told:
        return None
    world: Mapping[str, Any] = json.loads(Path(told).read_text())
    return world


def _say_to(config: pytest.Config) -> Callable[[str], None]:
    """Prints a line of progress where a person sees it, although pytest captures."""

    def say(line: str) -> None:
        capture: Any = config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            print(f"attested-kms {config.getoption('--target')}: {line}", file=sys.stderr)

    return say


@pytest.fixture(scope="session")
def session_target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """The target of this run, opened once."""
    chosen = _chosen(request.config)
    module, name = TARGETS[chosen]
    with _ended_by_sigterm():
        try:
            options = _options_of_target(chosen, request.config)
            if TARGETS[chosen] == TARGETS["hardware"]:
                for line in _telling(request.config).estimate(request.session.items):
                    options["say"](line)
            target: Target = getattr(importlib.import_module(module), name)(**options)
        except TargetUnavailable as error:
            pytest.exit(str(error), returncode=1)
        _suite.stands_on = getattr(target, "stands_on", "")
        _suite.target = Watched(target, _suite.notes)
        yield _suite.target
        target.close()


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Within the context SIGTERM ends the run as Ctrl-C does, so that the target is closed."""

    def end(number: int, _: object) -> None:
        pytest.exit("ended by SIGTERM", returncode=128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def observe() -> Observe:
    """Notes an answer that settles what is unknown."""
    return _suite.notes.observe


@pytest.fixture
def target(request: pytest.FixtureRequest, session_target: Target) -> Target:
    """The target, if it has every capability that the scenario needs."""
    for mark in request.node.iter_markers("needs"):
        for capability in mark.args:
            if capability not in session_target.capabilities:
                pytest.skip(f"the target {session_target.name} lacks {capability.value}")
    return session_target


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count the scenarios that were not chosen."""
    _suite.deselected += sum(scenario_id(item) is not None for item in items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what came of each scenario and the steps it took."""
    report = yield
    identifier = scenario_id(item)
    if identifier is None:
        return report
    if report.when == "setup":
        text, mark = docstring(item), evidence(item)
        _suite.results[item.nodeid] = ScenarioResult(
            id=identifier,
            nodeid=item.nodeid,
            summary=summary_of(text),
            docstring=text,
            evidence=mark.name,
            source=mark.args[0],
            steps=_suite.notes.steps,
        )
    result = _suite.results[item.nodeid]
    target = _chosen(item.config)
    if report.when == "call" and report.outcome == "passed":
        problem = _suite.not_as_recorded(item.nodeid, target)
        if problem is not None:
            report.outcome, report.longrepr = "failed", problem
    result.seconds = round(result.seconds + report.duration, 3)
    if report.outcome != "passed":
        failed = "failed" if report.when == "call" else "error"
        result.ended("skipped" if report.outcome == "skipped" else failed, _reason(report))
    elif report.when == "teardown":
        result.ended("passed")
    if report.when == "teardown" and result.outcome == "passed":
        _suite.record(
            item.nodeid,
            target,
            _record_name(item),
            beside=SCENARIOS,
            named=item.config.getoption("--records"),
        )
    return report


def _reason(report: pytest.TestReport) -> str:
    """Why it was skipped or what failed, in short."""
    match report.longrepr:
        case (_, _, str(reason)):
            return reason.removeprefix("Skipped: ")
        case representation:
            crash = getattr(representation, "reprcrash", None)
            return normalised(str(crash.message if crash else representation))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Each scenario has a list of steps of its own, with those of its fixtures."""
    if scenario_id(item) is not None:
        _suite.notes.begin()
    return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what came of the scenarios that have run, also where the run is cut short."""
    if _suite.due is not None and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK
    if _suite.results and not dry_run.is_asked(session.config):
        _suite.write(session.config.getoption("--target"), _results(session.config))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table of scenarios with their evidence, and the counts."""
    if not _suite.results:
        return
    rows = sorted((it.id, it.evidence, it.outcome) for it in _suite.results.values())
    width = max(len(identifier) for identifier, _, _ in rows)
    name = _chosen(config)
    terminalreporter.section(f"scenarios against {name}")
    for identifier, source, outcome in rows:
        terminalreporter.write_line(f"{identifier:{width}}  {source:10}  {outcome}")
    counts = Counter((source, outcome) for _, source, outcome in rows)
    terminalreporter.write_line("")
    for source, outcome in sorted(counts):
        terminalreporter.write_line(f"{source:10}  {outcome:8} {counts[source, outcome]:4}")
    terminalreporter.write_line(f"{'total':10}  {'':8} {len(rows):4}")
    if name == "sim":
        if _suite.stands_on:
            terminalreporter.write_line(f"Its programs used {_suite.stands_on}.")
        terminalreporter.write_line("A pass in the simulator is not a pass on hardware.")
    for sentence in _suite.said:
        terminalreporter.write_line(sentence)
