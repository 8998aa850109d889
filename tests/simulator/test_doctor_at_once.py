"""Probes that look at the same time: an end to it, questions that are asked once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from kms_fake.evidence import Evidence
from simulator.doctor.at_once import AllAtOnce
from simulator.doctor.examine import examine
from simulator.doctor.host import CommandMissing, Host, Ran
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.once import OnceHost
from tests.simulator.doctor_hosts import command, host

LATER = 60.0


def check(name: str, probe: Any, *, option: str = "", needs: Sequence[str] = ()) -> Check:
    return Check(
        id=name,
        title="It is right",
        why="It breaks",
        roles=frozenset(Role),
        probe=probe,
        evidence=Evidence.INFERRED,
        source="a source",
        option=option,
        needs=tuple(needs),
    )


def found(outcome: Outcome) -> list[Finding]:
    return [Finding(outcome=outcome, found="so it is", fix="mend it")]


def test_all_look_at_the_same_time_and_what_comes_first_still_counts(tmp_path: Path) -> None:
    together = threading.Barrier(2)

    def meets(_: Host) -> Iterator[Finding]:
        together.wait(LATER)
        yield from found(Outcome.ERROR)

    checks = [check("a.one", meets), check("a.two", meets, needs=["a.one"])]
    machine = host(tmp_path)
    look = AllAtOnce(machine, checks, time.monotonic() + LATER)
    examination = examine(machine, Role.PARENT, checks=checks, look=look)
    assert [result.findings[0].outcome for result in examination.results] == [
        Outcome.ERROR,
        Outcome.SKIPPED,
    ]


def test_what_does_not_end_is_said_and_no_pass(tmp_path: Path) -> None:
    never = threading.Event()

    def hangs(_: Host) -> Iterator[Finding]:
        never.wait(LATER)
        yield from found(Outcome.OK)

    checks = [check("a.usual", hangs), check("a.needed", hangs, option="--hardware")]
    look = AllAtOnce(host(tmp_path), checks, time.monotonic())
    usual, needed = (look(each)[0] for each in checks)
    never.set()
    assert (usual.outcome, needed.outcome) == (Outcome.WARNING, Outcome.ERROR)
    assert "--only a.needed" in needed.fix


def test_a_mistake_of_ours_is_raised_where_it_is_asked_for(tmp_path: Path) -> None:
    def wrong(_: Host) -> NoReturn:
        raise KeyError("ours")

    checks = [check("a.wrong", wrong)]
    look = AllAtOnce(host(tmp_path), checks, time.monotonic() + LATER)
    with pytest.raises(KeyError, match="ours"):
        look(checks[0])


def test_a_question_is_asked_once_whoever_asks(tmp_path: Path) -> None:
    asked: list[Sequence[object]] = []
    begun = threading.Event()

    class Slow:
        def __init__(self) -> None:
            self._host = host(tmp_path, commands=[command("tool", stdout="1\n")])

        def __getattr__(self, name: str) -> Any:
            return getattr(self._host, name)

        def run(self, *words: str, seconds: float = 0.0) -> Ran:
            asked.append((*words, seconds))
            begun.wait(LATER)
            return self._host.run(*words, seconds=seconds)

    slow: Any = Slow()
    once = OnceHost(slow, command_seconds=3.0)
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(once.run("tool").stdout)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    begun.set()
    for thread in threads:
        thread.join()
    assert answers == ["1\n"] * 3
    assert asked == [("tool", 3.0)]
    for _ in range(2):
        with pytest.raises(CommandMissing):
            once.run("none")
    assert asked[1:] == [("none", 3.0)]


def test_other_questions_are_passed_on(tmp_path: Path) -> None:
    machine = host(
        tmp_path,
        {"/etc/hosts": "x"},
        writable=["/etc"],
        now=5,
        answers=[{"url": "http://127.0.0.1:1/", "status": 204}],
        aws=[{"service": "sts", "operation": "GetCallerIdentity", "result": {"Arn": "x"}}],
    )
    once = OnceHost(machine)
    assert once.entries("/etc") == ["hosts"]
    assert once.read("/etc/hosts") == b"x"
    assert once.look("/etc/hosts") is machine.look("/etc/hosts")
    assert once.may_write("/etc/hosts")
    assert once.which("none") is None
    assert once.now() == 5
    assert once.fetch("http://127.0.0.1:1/").status == 204
    assert once.ask_aws("sts", "GetCallerIdentity", {}, region="a").members == {"Arn": "x"}
    assert (once.kind, once.user_id, once.name) == (machine.kind, machine.user_id, machine.name)


def test_a_check_without_its_needs_is_the_same_check(tmp_path: Path) -> None:
    free = replace(check("a.one", lambda _: found(Outcome.OK), needs=["b.two"]), needs=())
    examination = examine(host(tmp_path), Role.PARENT, checks=[free])
    assert examination.errors == []
