"""Where targets answered the same scenario differently.

What is compared, and what an answer's place is called, is the suite's own: `scenarios.comparing`,
by which simulator and rehearsal are held to records of hardware. So the page shows no difference
that the suite would not, and knows the reasons of those that the suite allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scenarios.comparing import Facts, answers
from scenarios.known_differences import KNOWN_DIFFERENCES
from simulator.report.reading import BadFile, Outcome, Step

_NO_ANSWER = "no such answer"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that was not the same everywhere."""

    place: str
    """Which answer: `Decrypt by enclave, 2`, or an observation's name; empty for the scenario."""
    what: str
    """Which of its facts: `message`; `outcome` of the scenario; `answer` where some lack it."""
    values: tuple[tuple[str, str], ...]
    """What each target had, by its name; all that took part."""
    reason: str = ""
    """Why it is known and allowed, if it is."""


def differences(
    scenario: str, outcomes: Mapping[str, Outcome], steps: Mapping[str, Sequence[Step]]
) -> tuple[Difference, ...]:
    """The differences of one scenario; `steps` only of targets that have an outcome.

    Raises BadFile for steps that nobody but a person can have written.
    """
    return tuple(_differences(scenario, outcomes, steps))


def _differences(
    scenario: str, outcomes: Mapping[str, Outcome], steps: Mapping[str, Sequence[Step]]
) -> Iterator[Difference]:
    if len(set(outcomes.values())) > 1:
        values = tuple((target, outcome.value) for target, outcome in outcomes.items())
        yield Difference("", "outcome", values)
    said = {target: _answers(scenario, target, each) for target, each in steps.items()}
    for place in dict.fromkeys(place for facts in said.values() for place in facts):
        here = {target: facts.get(place) for target, facts in said.items()}
        if any(facts is None for facts in here.values()):
            values = tuple(
                (target, _NO_ANSWER if facts is None else _shown(list(facts.values())))
                for target, facts in here.items()
            )
            yield Difference(place, "answer", values, _reason(scenario, place, "answer"))
            continue
        for member in dict.fromkeys(name for facts in here.values() for name in facts or ()):
            found = [(target, (facts or {}).get(member)) for target, facts in here.items()]
            if any(value != found[0][1] for _, value in found):
                values = tuple((target, _shown(value)) for target, value in found)
                yield Difference(place, member, values, _reason(scenario, place, member))


def _answers(scenario: str, target: str, steps: Sequence[Step]) -> Mapping[str, Facts]:
    try:
        return answers([dict(step.members) for step in steps])
    except (KeyError, TypeError, AttributeError) as error:
        raise BadFile(
            f"The steps of {scenario} on {target} are not such as the suite writes ({error!r}). "
            "Run the suite again."
        ) from error


def _shown(value: object) -> str:
    match value:
        case None:
            return "none"
        case "":
            return "(empty)"
        case dict():
            return ", ".join(f"{name} {each}" for name, each in value.items()) or "none"
        case list():
            return ", ".join(map(_shown, value)) or "none"
    return str(value)


def _reason(scenario: str, place: str, member: str) -> str:
    for known in KNOWN_DIFFERENCES:
        if (known.scenario, known.place, known.member) == (scenario, place, member):
            return known.reason
    return ""
