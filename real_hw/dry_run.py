"""The suite's options --dry-run, --plan and --show-requests: a run on hardware told, not done.

A plugin of pytest, which the suite's conftest registers where one of them is given. With --dry-run
nothing of hardware is touched and nobody is asked. With --show-requests the few scenarios whose
requests are shown run against the simulator, and nothing else does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from real_hw.plan import Plan, Scenario
    from real_hw.requests import Sent

Identify = Callable[[pytest.Item], str | None]
"""A scenario's id, or None for what is no scenario."""

Calls = Callable[[], Sequence[Any]]
"""The calls that the simulator's KMS received since it was last asked, oldest first: each has
`operation`, `members` (blobs are bytes) and `refused`, with `exception` and `message`, or None."""


def add_options(parser: pytest.Parser) -> None:
    """Add the three."""
    parser.addoption(
        "--dry-run",
        action="store_true",
        help="print what a run on hardware would do, command by command and call by call, and do "
        "nothing",
    )
    parser.addoption(
        "--plan",
        metavar="FILE",
        type=Path,
        help="write what is told to FILE too, as JSON (simulator/schemas/"
        "hardware-plan.schema.json); without --show-requests it implies --dry-run",
    )
    parser.addoption(
        "--show-requests",
        action="store_true",
        help="print the requests to KMS that succeed, and in what those of the field notes' errors "
        "differ from them; a few scenarios run against the simulator for it",
    )


def is_asked(config: pytest.Config) -> bool:
    """Whether this run is to tell, not to do."""
    return _is_planned(config) or bool(config.getoption("--show-requests"))


def _is_planned(config: pytest.Config) -> bool:
    shows = config.getoption("--show-requests")
    return bool(config.getoption("--dry-run") or (config.getoption("--plan") and not shows))


class DryRun:
    """Tells the plan in place of the scenarios, and runs those whose requests are to be shown."""

    def __init__(
        self,
        config: pytest.Config,
        identify: Identify,
        evidence: Callable[[pytest.Item], pytest.Mark],
        calls: Calls,
        results: Path,
    ) -> None:
        """`results` is where the simulator's last results are."""
        self._evidence = evidence
        self._config = config
        self._identify = identify
        self._calls = calls
        self._results = results
        self._scenarios: list[Scenario] = []
        self._sent: list[Sent] = []
        self._failed = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """Keep, of what was chosen, what runs: nothing but what shows its requests."""
        from real_hw.requests import SCENARIOS

        answer = yield
        self._scenarios = list(self._collected(items))
        shows = self._config.getoption("--show-requests")
        kept = [item for item in items if shows and self._identify(item) in SCENARIOS]
        self._config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
        return answer

    def _collected(self, items: Sequence[pytest.Item]) -> Iterator[Scenario]:
        from real_hw.plan import Scenario

        for item in items:
            identifier = self._identify(item)
            if identifier is not None:
                needs = (one for mark in item.iter_markers("needs") for one in mark.args)
                names = tuple(capability.value for capability in needs)
                yield Scenario(identifier, names, self._stands_on(item))

    def _stands_on(self, item: pytest.Item) -> str:
        mark = self._evidence(item)
        return f"{mark.name}: {mark.args[0]}"

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Keep what the scenario has sent."""
        from real_hw.requests import Sent

        self._sent += [
            Sent(
                self._identify(item) or "",
                call.operation,
                call.members,
                call.refused and f"{call.refused.exception}: {call.refused.message}",
            )
            for call in self._calls()
            if call.members is not None
        ]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what was asked for, and write it."""
        told: dict[str, Any] = {"version": 1}
        if _is_planned(self._config):
            from real_hw import plan

            made = self._plan()
            told |= plan.as_json(made)
            _print(terminalreporter, "plan of a run on hardware", plan.as_text(made))
        if self._config.getoption("--show-requests"):
            from real_hw import requests

            try:
                told["requests"] = requests.as_json(self._sent)
                _print(terminalreporter, "requests to KMS", requests.as_text(self._sent))
                requests.check(self._sent)
            except requests.NotShown as error:
                self._failed = True
                terminalreporter.write_line(str(error))
        path = self._config.getoption("--plan")
        if path is not None:
            self._write(terminalreporter, path, json.dumps(told, indent=2) + "\n")

    def _plan(self) -> Plan:
        from real_hw import plan, target

        # As the suite has it, beside its results.
        opening = partial(target.planned, folder=self._results.absolute().parent / "runs")
        return plan.plan(opening, self._scenarios, plan.read_results(self._results))

    def estimate(self, items: Sequence[pytest.Item]) -> Iterator[str]:
        """Time and cost of running these, as far as they can be told beforehand."""
        from real_hw import estimate, plan

        results = plan.read_results(self._results)
        if isinstance(results, str):
            yield f"time and cost cannot be estimated. {results}"
            return
        self._scenarios = list(self._collected(items))
        yield from estimate.as_text(self._plan().counts)

    def _write(self, terminalreporter: pytest.TerminalReporter, path: Path, text: str) -> None:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            self._failed = True
            terminalreporter.write_line(f"The plan cannot be written to {path}: {error.strerror}.")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Make it a success that nothing had to run."""
        yield
        if self._failed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        elif session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self._scenarios:
            session.exitstatus = pytest.ExitCode.OK


def _print(terminalreporter: pytest.TerminalReporter, title: str, lines: Iterator[str]) -> None:
    terminalreporter.section(title)
    for line in lines:
        terminalreporter.write_line(line)
