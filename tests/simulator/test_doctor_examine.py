"""One examination: which checks are asked, and what becomes of what could not be told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from kms_fake.evidence import Evidence
from simulator.doctor import report
from simulator.doctor.examine import Examination, UnknownCheck, examine, role_of, selected
from simulator.doctor.folder import FolderHost
from simulator.doctor.host import (
    CommandHangs,
    CommandMissing,
    Host,
    NetworkNotAsked,
    Unreachable,
)
from simulator.doctor.model import Check, Finding, Outcome, Probe, Role
from simulator.schema_check import schema
from tests.simulator.doctor_hosts import command, host

BOTH = frozenset(Role)


def ends(*outcomes: Outcome, found: str = "so it is") -> Probe:
    return lambda _: [Finding(outcome=each, found=found, fix="mend it") for each in outcomes]


def raises(error: Exception) -> Probe:
    def probe(_: Host) -> Iterator[Finding]:
        yield Finding(outcome=Outcome.OK, found="the first half is well")
        raise error

    return probe


def check(
    name: str,
    probe: Probe,
    *,
    needs: tuple[str, ...] = (),
    roles: frozenset[Role] = BOTH,
    bug: str = "",
) -> Check:
    return Check(
        id=name,
        title=f"{name} is right",
        why="It breaks",
        roles=roles,
        probe=probe,
        evidence=Evidence.INFERRED,
        source="a source",
        needs=needs,
        bug=bug,
        explains=("host.artifacts-path",),
    )


def examined(
    folder: Path, *checks: Check, role: Role | None = None, only: Iterable[str] = ()
) -> Examination:
    return examine(host(folder), role, list(only), checks=checks)


def outcomes(examination: Examination) -> dict[str, list[str]]:
    return {
        result.check.id: [finding.outcome.value for finding in result.findings]
        for result in examination.results
    }


def test_what_comes_after_an_error_is_not_asked(tmp_path: Path) -> None:
    examination = examined(
        tmp_path,
        check("a.first", ends(Outcome.WARNING)),
        check("a.broken", ends(Outcome.OK, Outcome.ERROR)),
        check("b.after", ends(Outcome.ERROR), needs=("a.broken",)),
        check("b.later", ends(Outcome.ERROR), needs=("b.after",)),
        check("c.free", ends(Outcome.OK), needs=("a.first",)),
        check("c.worse", ends(Outcome.ERROR)),
    )
    assert outcomes(examination) == {
        "a.first": ["warning"],
        "a.broken": ["ok", "error"],
        "b.after": ["skipped"],
        "b.later": ["skipped"],
        "c.free": ["ok"],
        "c.worse": ["error"],
    }
    assert examination.results[2].findings[0].found == "a.broken comes first"
    following = examination.next
    assert following is not None
    assert following[0].id == "a.broken"


def test_what_was_left_out_hinders_nobody(tmp_path: Path) -> None:
    broken = check("a.broken", ends(Outcome.ERROR))
    after = check("b.after", ends(Outcome.OK), needs=("a.broken",))
    assert outcomes(examined(tmp_path, broken, after, only=["b"])) == {"b.after": ["ok"]}


@pytest.mark.parametrize(
    ("error", "outcome", "said"),
    [
        (CommandMissing("rpm"), "warning", "It could not be told: there is no command rpm on PATH"),
        (CommandHangs("`rpm` did not end"), "warning", "It could not be told: `rpm` did not end"),
        (
            Unreachable("kms cannot be asked"),
            "warning",
            "It could not be told: kms cannot be asked",
        ),
        (
            PermissionError(13, "Permission denied", "/etc/shadow"),
            "warning",
            "It could not be told: /etc/shadow cannot be read (Permission denied)",
        ),
        (OSError("nothing to say"), "warning", "It could not be told: nothing to say"),
        (NetworkNotAsked("kms is asked with --network only"), "skipped", "kms is asked with"),
    ],
)
def test_what_cannot_be_told_is_a_finding(
    tmp_path: Path, error: Exception, outcome: str, said: str
) -> None:
    (result,) = examined(tmp_path, check("a.check", raises(error))).results
    first, second = result.findings
    assert first.outcome is Outcome.OK
    assert second.outcome.value == outcome
    assert second.found.startswith(said)
    assert bool(second.fix) == (outcome == "warning")


def test_a_probe_that_says_nothing_is_a_mistake_of_ours(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"a\.check"):
        examined(tmp_path, check("a.check", ends()))


def test_a_check_of_another_role_is_asked_for_by_name_only(tmp_path: Path) -> None:
    on_parents = check("a.parent", ends(Outcome.OK), roles=frozenset({Role.PARENT}))
    anywhere = check("a.any", ends(Outcome.OK))
    assert outcomes(examined(tmp_path, on_parents, anywhere)) == {"a.any": ["ok"]}
    named = examined(tmp_path, on_parents, anywhere, only=["a"])
    assert outcomes(named) == {"a.parent": ["skipped"], "a.any": ["ok"]}
    assert named.results[0].findings[0].found == "It is asked with --as parent only"
    asked = examined(tmp_path, on_parents, role=Role.PARENT)
    assert outcomes(asked) == {"a.parent": ["ok"]}


def test_checks_are_chosen_by_name_or_area_and_keep_their_order() -> None:
    checks = [check(name, ends(Outcome.OK)) for name in ("a.one", "a.two", "b.one", "bb.one")]
    chosen = selected(["b.one", "a"], checks)
    assert [each.id for each in chosen] == ["a.one", "a.two", "b.one"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("packages.clu", "is packages.cli or packages meant? --list"),
        ("package", "meant? --list"),
        ("docker.", "docker.group meant?"),
        ("zzz", "no check 'zzz'; --list shows all of them"),
        ("", "no check ''; --list"),
    ],
)
def test_a_name_that_nobody_has_is_said_with_what_is_near(name: str, meant: str) -> None:
    checks = [check(each, ends(Outcome.OK)) for each in ("packages.cli", "docker.group")]
    with pytest.raises(UnknownCheck, match=re.escape(meant)):
        selected([name], checks)


VENDOR = {"/sys/devices/virtual/dmi/id/sys_vendor": "Amazon EC2\n"}
AMAZON = {"/etc/os-release": 'NAME="Amazon Linux"\nID="amzn"\n'}
UBUNTU = {"/etc/os-release": "NAME=Ubuntu\nID=ubuntu\nID_LIKE=amzn\n"}


@pytest.mark.parametrize(
    ("make", "role"),
    [
        (lambda path: host(path, VENDOR | AMAZON), Role.PARENT),
        (lambda path: host(path, VENDOR | UBUNTU), Role.DEVELOPMENT),
        (lambda path: host(path, AMAZON), Role.DEVELOPMENT),
        (lambda path: host(path, VENDOR, commands=[command("nitro-cli")]), Role.PARENT),
        (lambda path: host(path, VENDOR, writable=["/sys/module/nitro_enclaves"]), Role.PARENT),
        (lambda path: host(path, VENDOR | AMAZON, denied=["/sys"]), Role.DEVELOPMENT),
        (lambda path: host(path, VENDOR, denied=["/sys/module", "/etc"]), Role.DEVELOPMENT),
        (host, Role.DEVELOPMENT),
    ],
)
def test_a_parent_is_known_by_its_looks(
    tmp_path: Path, make: Callable[[Path], FolderHost], role: Role
) -> None:
    assert role_of(make(tmp_path)) is role


def test_every_outcome_fits_the_schema(tmp_path: Path) -> None:
    checks = [check(f"a.{each.value}", ends(each), bug="3") for each in Outcome]
    examination = examined(tmp_path, *checks)
    answer = json.loads(json.dumps(report.as_json(examination, "warning", 1)))
    Draft202012Validator(schema("doctor")).validate(answer)
    assert [each["outcome"] for each in answer["findings"]] == [each.value for each in Outcome]
    assert answer["counts"] == dict.fromkeys((each.value for each in Outcome), 1)
    assert answer["next"] == {"check": "a.error", "fix": "mend it", "command": ""}
    assert [examination.reaches(each) for each in Outcome] == [True] * len(Outcome)


def test_a_machine_cannot_steer_the_terminal(tmp_path: Path) -> None:
    found = "\x1b[2J\nnext: \u202egpj.exe " + "x" * 10_000
    for outcome in Outcome:
        examination = examined(tmp_path, check("a.check", ends(outcome, found=found)))
        text = "\n".join(report.as_text(examination))
        assert text.replace("\n", "").isprintable()
        assert len(text) < 2000
        # The last step alone stands so.
        assert text.count("\nnext: ") == (outcome is Outcome.ERROR)


def test_a_note_is_no_fault(tmp_path: Path) -> None:
    examination = examined(tmp_path, check("a.noise", ends(Outcome.NOTE)))
    assert not examination.reaches(Outcome.WARNING)
    assert "note: a.noise: a.noise is right" in list(report.as_text(examination))
