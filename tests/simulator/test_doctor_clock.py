"""doctor: clock.skew."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.doctor.checks.clock import CHECKS
from simulator.doctor.host import Host
from simulator.doctor.model import Finding, Outcome
from simulator.doctor.this_machine import ThisMachine
from tests.simulator.doctor_hosts import command, host
from tests.simulator.doctor_servers import Quiet, findings, serving, url

ENDPOINT = "http://127.0.0.1:8080"
ENVIRON = {"AWS_ENDPOINT_URL_KMS": ENDPOINT, "HOME": "/root"}
NOON = dt.datetime(2026, 1, 27, 12, tzinfo=dt.UTC).timestamp()
DATE = "Tue, 27 Jan 2026 12:00:00 GMT"
TIMEDATECTL = ("timedatectl", "show", "--property=NTPSynchronized")
CHRONYC = ("chronyc", "-n", "tracking")
NORMAL = "Stratum         : 4\nLeap status     : Normal\n"
NOT_SYNCHRONISED = "Stratum         : 0\nLeap status     : Not synchronised\n"


def _asked(machine: Host) -> list[Finding]:
    return findings(CHECKS, "clock.skew", machine)


def _at(
    folder: Path, *, now: float, date: str | None = DATE, commands: Sequence[dict[str, Any]] = ()
) -> list[Finding]:
    headers = {} if date is None else {"Date": date}
    answer = {"url": f"{ENDPOINT}/", "status": 404, "headers": headers}
    return _asked(host(folder, now=now, environ=ENVIRON, answers=[answer], commands=list(commands)))


@pytest.mark.parametrize(
    ("seconds", "outcome", "said"),
    [
        (0, Outcome.OK, "agrees"),
        (31, Outcome.OK, "agrees"),  # The Date may be a second old.
        (-30, Outcome.OK, "agrees"),
        (32, Outcome.WARNING, "31 seconds ahead of"),
        (-31, Outcome.WARNING, "31 seconds behind"),
        (301, Outcome.WARNING, "300 seconds ahead of"),
        (302, Outcome.ERROR, "301 seconds ahead of"),
        (-300, Outcome.WARNING, "300 seconds behind"),
        (-301, Outcome.ERROR, "301 seconds behind"),
        (-3600 * 24 * 365, Outcome.ERROR, "behind"),
    ],
)
def test_five_minutes_are_the_limit_and_half_a_minute_is_noted(
    tmp_path: Path, seconds: int, outcome: Outcome, said: str
) -> None:
    (found,) = _at(tmp_path, now=NOON + seconds)
    assert found.outcome is outcome
    assert said in found.found
    assert bool(found.fix) is (outcome is not Outcome.OK)


@given(st.text(max_size=60) | st.just(DATE).flatmap(lambda text: st.text().map(text.__add__)))
def test_no_date_stops_the_check(date: str) -> None:
    with TemporaryDirectory() as folder:
        (found,) = _at(Path(folder), now=NOON, date=date)
    assert found.outcome in (Outcome.OK, Outcome.WARNING, Outcome.ERROR, Outcome.SKIPPED)


def test_without_a_date_it_is_not_compared(tmp_path: Path) -> None:
    (found,) = _at(tmp_path, now=NOON, date=None)
    assert found.outcome is Outcome.SKIPPED
    assert "says no Date" in found.found


def test_a_clock_that_follows_nobody_is_a_warning_whatever_it_says(tmp_path: Path) -> None:
    commands = [
        command(*TIMEDATECTL, stdout="NTPSynchronized=no\n"),
        command(*CHRONYC, stdout=NOT_SYNCHRONISED),
    ]
    follows_not, agrees = _at(tmp_path, now=NOON, commands=commands)
    assert follows_not.outcome is Outcome.WARNING
    assert follows_not.command == "systemctl enable --now chronyd"
    assert agrees.outcome is Outcome.OK


def test_a_clock_that_is_off_is_set_by_chrony_where_there_is_one(tmp_path: Path) -> None:
    commands = [command(*CHRONYC, stdout=NOT_SYNCHRONISED)]
    _, off = _at(tmp_path, now=NOON - 1000, commands=commands)
    assert off.outcome is Outcome.ERROR
    assert off.command == "systemctl enable --now chronyd && chronyc makestep"


@pytest.mark.parametrize(
    "commands",
    [
        [command(*TIMEDATECTL, stdout="NTPSynchronized=yes\n")],
        [command(*CHRONYC, stdout=NORMAL)],
        [command(*TIMEDATECTL, stdout="NTPSynchronized=no\n"), command(*CHRONYC, stdout=NORMAL)],
    ],
)
def test_without_the_network_whoever_follows_a_server_is_right(
    tmp_path: Path, commands: list[dict[str, Any]]
) -> None:
    machine = host(
        tmp_path, environ={"AWS_DEFAULT_REGION": "us-east-1"}, commands=commands, now=NOON
    )
    (found,) = _asked(machine)
    assert found.outcome is Outcome.OK
    assert "--network" in found.found


@pytest.mark.parametrize(
    "commands",
    [
        [],
        [command(*TIMEDATECTL, exit_code=1, stderr="Failed to connect to bus")],
        [command(*TIMEDATECTL, hangs=True), command(*CHRONYC, hangs=True)],
        [command(*CHRONYC, exit_code=1, stdout="506 Cannot talk to daemon\n")],
        [command(*TIMEDATECTL, stdout={"base64": "/////w=="})],
    ],
)
def test_where_nobody_tells_it_is_skipped(tmp_path: Path, commands: list[dict[str, Any]]) -> None:
    (found,) = _asked(host(tmp_path, environ={}, commands=commands, now=NOON))
    assert found.outcome is Outcome.SKIPPED
    assert "not compared" in found.found


def test_the_clock_of_this_machine_beside_a_server_of_it() -> None:
    class Dated(Quiet):
        def version_string(self) -> str:
            return "KMS"

    environ = {"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "PATH": ""}
    with serving(Dated) as server:
        here = {**environ, "AWS_ENDPOINT_URL_KMS": url(server)}
        (found,) = _asked(ThisMachine(here))
    assert found.outcome is Outcome.OK
