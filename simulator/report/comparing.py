"""Where targets answered the same scenario differently.

Compared is what a caller can see: the outcome, and step by step an answer's kind, exception type,
message, members and HTTP status, or a command's exit code. Not compared: times, sizes, and what a
fake adds of its own (the rule). Texts are those of the files, normalised by whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from simulator.report.reading import Outcome, Step


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that was not the same everywhere."""

    step: int | None
    """Counted from 1; None where it is about the scenario."""
    what: str
    """`outcome`, `steps`, `answer`, `exception`, `message`, `members`, `HTTP status`, `status` or
    `exit code`."""
    values: tuple[tuple[str, str], ...]
    """What each target had, by its name; all that took part."""


def differences(
    outcomes: Mapping[str, Outcome], steps: Mapping[str, Sequence[Step]]
) -> tuple[Difference, ...]:
    """The differences of one scenario; `steps` only of targets that have an outcome."""
    return tuple(_differences(outcomes, steps))


def _differences(
    outcomes: Mapping[str, Outcome], steps: Mapping[str, Sequence[Step]]
) -> Iterator[Difference]:
    if len(set(outcomes.values())) > 1:
        values = tuple((target, outcome.value) for target, outcome in outcomes.items())
        yield Difference(None, "outcome", values)
    did = {target: [(step.kind, _seen(step)) for step in each] for target, each in steps.items()}
    kinds = {target: tuple(kind for kind, _ in each) for target, each in did.items()}
    if len(set(kinds.values())) > 1:
        values = tuple((target, ", ".join(each) or "none") for target, each in kinds.items())
        yield Difference(None, "steps", values)
        return
    for number, at_once in enumerate(zip(*did.values(), strict=True), 1):
        answers = {target: seen for target, (_, seen) in zip(did, at_once, strict=True)}
        names = dict.fromkeys(name for seen in answers.values() for name in seen)
        for name in names:
            found = tuple((target, seen.get(name, "none")) for target, seen in answers.items())
            if len({value for _, value in found}) > 1:
                yield Difference(number, name, found)


def _seen(step: Step) -> Mapping[str, str]:
    answer = step.answer
    if answer is None:
        code = step.number("exit_code")
        seen = {"exception": step.text("code"), "message": step.text("message")}
        seen |= {"status": step.text("status"), "exit code": "" if code is None else f"{code:.0f}"}
        return {name: value for name, value in seen.items() if value}
    status = answer.http_status
    names = [f"{name}: null" if it is None else name for name, it in answer.members.items()]
    return {
        "answer": answer.outcome,
        "exception": answer.code or "none",
        "message": answer.message or "(empty)",
        "members": ", ".join(sorted(names)) or "none",
        **({} if status is None else {"HTTP status": str(status)}),
    }
