"""Where a run of a scenario differs from its record on hardware, answer by answer.

Compared is what callers see: outcome, exception type, text and HTTP status of KMS, exit codes and
error codes of commands; and of an observation also which members are there, null or empty. Not
compared are durations, and what no two runs share (`scenarios.normalising`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.known_differences import KnownDifference
from scenarios.notes import Step

Facts = dict[str, Any]
_OF_ANSWERS = ("outcome", "code", "message", "http_status", "reason")
_OF_SERVICES = ("code", "message", "status", "exit_code")
_SETTING_UP = frozenset({"Encrypt", "DisableKey"})
"""What makes keys and ciphertexts ready, in the first scenario that wants them."""
_OURS = re.compile(r"^.*(?=\[attested-kms: real text unknown, [^\]]*\]$)", re.DOTALL)
"""The KMS fake's words for what nobody knows: they may name lengths, and are no text of KMS."""
_ERROR_CODE = re.compile(r"^\[ (E\d\d) \]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact of one answer, as recorded and as it is here; None where it is not there."""

    place: str
    """Which answer: `Decrypt by enclave, 2`, or the name of an observation."""
    member: str
    """Which of its facts: `message`; `answer` where only one of the two runs has the answer."""
    recorded: object
    here: object

    def __str__(self) -> str:
        return f"{self.place}: {self.member} is {self.here!r}, recorded is {self.recorded!r}"


def differences(recorded: Sequence[Step], here: Sequence[Step]) -> list[Difference]:
    """All differences between the steps of a record and those of a run."""
    before, after = answers(recorded), answers(here)
    found: list[Difference] = []
    for place in dict.fromkeys((*before, *after)):
        old, new = before.get(place), after.get(place)
        if old is None or new is None:
            found.append(Difference(place, "answer", _short(old), _short(new)))
            continue
        found += (
            Difference(place, member, old.get(member), new.get(member))
            for member in dict.fromkeys((*old, *new))
            if old.get(member) != new.get(member)
        )
    return found


def answers(steps: Sequence[Step]) -> dict[str, Facts]:
    """What is compared of each answer, by its place."""
    entries: list[tuple[str, Facts]] = []
    for step in steps:
        entry = _entry(step)
        if entry is None:
            continue
        if step["kind"] == "observation" and entries:
            # What is observed has just been answered: it counts once, under its name.
            common = {name: it for name, it in entry[1].items() if name in _OF_ANSWERS}
            if entries[-1][1] == common:
                entries.pop()
        if step["kind"] == "command" and entries and entries[-1] == entry:
            continue  # A command that is repeated until something happens.
        entries.append(entry)
    placed: dict[str, Facts] = {}
    for name, facts in entries:
        number = 1
        while (place := f"{name}, {number}" if number > 1 else name) in placed:
            number += 1
        placed[place] = facts
    return placed


def _entry(step: Step) -> tuple[str, Facts] | None:
    match step["kind"]:
        case "kms" if step["operation"] not in _SETTING_UP:
            facts = _chosen(step["answer"], _OF_ANSWERS)
            return f"{step['operation']} by {step['by']}", facts
        case "observation":
            answer = step["answer"]
            seen = {"members": _members(answer["members"])} if "members" in answer else {}
            return step["name"], _chosen(answer, _OF_ANSWERS) | seen
        case "command":
            said = _ERROR_CODE.findall(step.get("stderr", ""))
            facts = {"exit_code": step.get("exit_code"), "errors": said}
            return " ".join(step["words"][:2]), facts
        case "script":
            return "script", _chosen(step, ("exit_code",))
        case "systems-manager":
            return step["operation"], _chosen(step, _OF_SERVICES)
    return None


def _chosen(members: Mapping[str, Any], names: Sequence[str]) -> Facts:
    facts = {name: members[name] for name in names if name in members}
    if "message" in facts:
        facts["message"] = _OURS.sub("", facts["message"])
    return facts


def _members(members: Mapping[str, Any]) -> dict[str, str]:
    """How each member is there; of the envelope also how long, which tells how it is built."""
    return {name: _presence(name, it) for name, it in members.items()}


def _presence(name: str, value: object) -> str:
    if value is None:
        return "null"
    if value == "":
        return "empty"
    if name == "CiphertextForRecipient":
        return f"{value['bytes']} bytes" if isinstance(value, Mapping) else str(value)
    return "there"


def _short(facts: Facts | None) -> str | None:
    return None if facts is None else ", ".join(str(it) for it in facts.values())


def unexplained(
    scenario: str, target: str, found: Sequence[Difference], known: Sequence[KnownDifference]
) -> Iterator[str]:
    """Differences that nobody has explained, and explanations of what is no difference now."""
    mine = [it for it in known if it.scenario == scenario and target in it.targets]
    places = {(it.place, it.member) for it in mine}
    for difference in found:
        if (difference.place, difference.member) not in places:
            yield str(difference)
    there = {(it.place, it.member) for it in found}
    for entry in mine:
        if (entry.place, entry.member) not in there:
            yield (
                f"{entry.place}: {entry.member} is as recorded, and scenarios/known_differences.py "
                f"still has it as a difference ({entry.reason}): take the entry out"
            )
