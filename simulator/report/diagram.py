"""The steps of a scenario as a sequence diagram: lanes, arrows, notes, and what went wrong.

Not the drawing of it (`svg`). A step becomes one or more events; each says in words what it is, so
that the list beside the diagram tells the same. A kind of step that is not known here becomes a
note, never a gap. Source of truth: the steps of `scenarios.watching`.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simulator.report.reading import Answer, Step

_DEEPEST = 12
"""Levels of a policy or a request that are shown."""


class Lane(enum.Enum):
    """Who takes part, from left to right."""

    DEPLOYER = "Deployer"
    SYSTEMS_MANAGER = "Systems Manager"
    INSTANCE = "Instance"
    NITRO_CLI = "nitro-cli"
    NSM = "NSM"
    ENCLAVE = "Enclave program"
    PROXY = "Host proxy"
    PARENT = "Parent's role"
    KMS = "KMS"


class Mark(enum.Enum):
    """What is wrong with an event, as a word."""

    NONE = ""
    REFUSED = "refused"
    NOT_SENT = "not sent"
    NOT_TAKEN = "not taken"
    FAILED = "failed"


class Shape(enum.Enum):
    """How an event is drawn."""

    CALL = "call"
    ANSWER = "answer"
    NOTE = "note"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Event:
    """One arrow, note or pause."""

    step: int
    """The step it is of, counted from 1."""
    shape: Shape
    lanes: tuple[Lane, ...]
    """From, on the way, to; for a note whom it is about; for a pause none."""
    text: str
    """In the diagram, where long ones are cut."""
    mark: Mark = Mark.NONE
    rule: str = ""
    """Which rule of a fake refused."""
    more: tuple[tuple[str, str], ...] = ()
    """What the list says in addition: a name and its text."""


@dataclass(frozen=True, slots=True)
class Diagram:
    """A diagram to be drawn."""

    lanes: tuple[Lane, ...]
    events: tuple[Event, ...]


def diagram(steps: Sequence[Step], failure: str = "") -> Diagram:
    """The events of all steps, and the lanes that they use; `failure` is what went wrong then."""
    events = tuple(
        event
        for number, step in enumerate(steps, 1)
        for event in _KINDS.get(step.kind, _unknown)(number, step)
    )
    if failure:
        text = f"the scenario: {failure.strip().partition(chr(10))[0]}"
        events += (Event(len(steps), Shape.NOTE, (), text, Mark.FAILED),)
    used = {lane for event in events for lane in event.lanes}
    return Diagram(tuple(lane for lane in Lane if lane in used), events)


def shape_text(value: Any, depth: int = 0) -> str:
    """What is known of a member of a request or an answer: a blob's size, an object's members."""
    if depth > _DEEPEST:
        return "\u2026"
    match value:
        case {"bytes": int(size), **_others}:
            text = f"{size:,} bytes"
        case {"characters": int(size)}:
            text = f"{size:,} characters"
        case {"fresh": True, **_others}:
            text = "a fresh document"
        case {}:
            text = f"{{{_members(value, depth + 1)}}}"
        case list():
            text = f"[{', '.join(shape_text(each, depth + 1) for each in value)}]"
        case str():
            text = value
        case _:
            text = json.dumps(value)
    return text


def _members(members: Mapping[str, Any], depth: int = 0) -> str:
    return ", ".join(f"{name} {shape_text(value, depth)}" for name, value in members.items())


def _attest(number: int, step: Step) -> Iterator[Event]:
    there = (Lane.ENCLAVE, Lane.NSM)
    form = step.text("public_key")
    key = f"public key {form}" if form and form != "absent" else "no public key"
    yield Event(number, Shape.CALL, there, f"Attestation, {key}")
    size = step.number("bytes")
    if step.text("outcome") in {"", "document"}:
        text = "document" if size is None else f"document, {int(size):,} bytes"
        yield Event(number, Shape.ANSWER, there[::-1], text)
    else:
        yield Event(number, Shape.ANSWER, there[::-1], step.text("outcome"), Mark.REFUSED)


def _kms(number: int, step: Step) -> Iterator[Event]:
    request = step.mapping("request")
    if step.text("by") == "enclave":
        there: tuple[Lane, ...] = (Lane.ENCLAVE, Lane.PROXY, Lane.KMS)
        if "Recipient" in request:
            yield from _attested(number, request["Recipient"])
    else:
        there = (Lane.PARENT, Lane.KMS)
    text = f"{step.text('operation')} ({', '.join(request)})"
    more = (("request", _members(request) or "no members"),)
    answer = step.answer
    if answer is not None and answer.outcome == "not-sent":
        why = said(answer) or answer.detail or answer.reason
        yield Event(number, Shape.NOTE, there[:1], f"{text}: {why}", Mark.NOT_SENT, more=more)
        return
    yield Event(number, Shape.CALL, there, text, more=more)
    if answer is not None:
        yield from _answered(number, answer, there)


def _attested(number: int, recipient: Any) -> Iterator[Event]:
    """The document that the enclave program fetches for a call, unless it sends another one."""
    document = Step(recipient).mapping("AttestationDocument") if isinstance(recipient, dict) else {}
    if document.get("fresh") is True:
        yield from _attest(number, Step({"public_key": document.get("public_key")}))


def _answered(number: int, answer: Answer, there: tuple[Lane, ...]) -> Iterator[Event]:
    back = there[::-1]
    more: tuple[tuple[str, str], ...] = (("answer", _members(answer.members)),)
    more = more if answer.members else ()
    match answer.outcome:
        case "error":
            status = "" if answer.http_status is None else f"HTTP {answer.http_status}"
            more = (("status", status),) if status else ()
            yield Event(number, Shape.ANSWER, back, said(answer), Mark.REFUSED, answer.rule, more)
        case "refused":
            yield Event(number, Shape.ANSWER, back, "answer", more=more)
            why = ": ".join(part for part in (answer.reason, answer.detail) if part)
            yield Event(number, Shape.NOTE, (there[0],), why, Mark.NOT_TAKEN)
        case "opened":
            yield Event(number, Shape.ANSWER, back, "CiphertextForRecipient", more=more)
            yield Event(number, Shape.NOTE, (there[0],), "opens the envelope")
        case "result":
            names = ", ".join(answer.members) or "an answer"
            yield Event(number, Shape.ANSWER, back, names, more=more)
        case _:
            why = said(answer) or answer.detail or answer.reason or answer.outcome
            yield Event(number, Shape.ANSWER, back, why, Mark.FAILED)


def said(answer: Answer) -> str:
    """What an error says: its type and its message."""
    return ": ".join(part for part in (answer.code, answer.message) if part)


def _key(number: int, step: Step) -> Iterator[Event]:
    text, more = _statements(step)
    yield Event(number, Shape.NOTE, (Lane.KMS,), f"a key, its policy with {text}", more=more)


def _statements(step: Step) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The statements of a policy in short, and each of them."""
    statements = [Step(each) for each in step.items("statements") if isinstance(each, dict)]
    text = f"{len(statements)} statement{'' if len(statements) == 1 else 's'}"
    tests = dict.fromkeys(name for each in statements for name in _conditions(each))
    more = tuple(
        (f"statement {place}", shape_text(statement.members))
        for place, statement in enumerate(statements, 1)
    )
    on = f", on {', '.join(tests)}" if tests else ""
    return f"{text}{on}", more


def _conditions(statement: Step) -> Iterator[str]:
    for operator in statement.mapping("Condition").values():
        if isinstance(operator, dict):
            yield from (name.removeprefix("kms:RecipientAttestation:") for name in operator)


def _boot(number: int, step: Step) -> Iterator[Event]:
    mode = " in debug mode" if step.members.get("debug") is True else ""
    yield Event(number, Shape.NOTE, (Lane.ENCLAVE,), f"boots{mode}")


def _time(number: int, step: Step) -> Iterator[Event]:
    seconds = step.number("seconds") or 0
    yield Event(number, Shape.PAUSE, (), f"{seconds:,.10g} seconds pass")


def _command(number: int, step: Step) -> Iterator[Event]:
    there = (Lane.DEPLOYER, Lane.NITRO_CLI)
    words = [str(word) for word in step.items("words")]
    words = words[1:] if words[:1] == ["nitro-cli"] else words
    yield Event(number, Shape.CALL, there, " ".join(words) or "nitro-cli")
    failed = _failed(step)
    if not failed and words[:1] == ["run-enclave"]:
        yield Event(number, Shape.CALL, (Lane.NITRO_CLI, Lane.ENCLAVE), "boots it")
    if not failed and words[:1] == ["terminate-enclave"]:
        yield Event(number, Shape.CALL, (Lane.NITRO_CLI, Lane.ENCLAVE), "ends it")
    yield _ended(number, step, there)


def _script(number: int, step: Step) -> Iterator[Event]:
    there = (Lane.DEPLOYER, Lane.INSTANCE)
    text = step.text("text")
    first = text.strip().partition("\n")[0]
    yield Event(number, Shape.CALL, there, first or "a script", more=(("script", text),))
    yield _ended(number, step, there)


def _failed(step: Step) -> bool:
    return (step.number("exit_code") or 0) != 0


def _ended(number: int, step: Step, there: tuple[Lane, ...]) -> Event:
    """How a command came back."""
    code, after = step.number("exit_code"), step.text("killed_after")
    text = "ended" if code is None else f"exit code {int(code)}"
    mark = Mark.FAILED if _failed(step) else Mark.NONE
    errors = step.text("stderr").strip()
    if after:
        text, mark = f"killed once it had printed {after!r}", Mark.NONE
    elif _failed(step) and errors:
        text += f": {errors.splitlines()[0]}"
    more = tuple((name, step.text(name)) for name in ("stdout", "stderr") if step.text(name))
    return Event(number, Shape.ANSWER, there[::-1], text, mark, more=more)


def _systems_manager(number: int, step: Step) -> Iterator[Event]:
    there = (Lane.DEPLOYER, Lane.SYSTEMS_MANAGER)
    commands = "\n".join(str(line) for line in step.items("commands"))
    more = (("script", commands),) if commands else ()
    yield Event(number, Shape.CALL, there, step.text("operation"), more=more)
    code = step.text("code")
    if code:
        text = ": ".join(filter(None, (code, step.text("message"))))
        yield Event(number, Shape.ANSWER, there[::-1], text, Mark.REFUSED)
        return
    if step.text("operation") == "SendCommand":
        yield Event(number, Shape.CALL, (Lane.SYSTEMS_MANAGER, Lane.INSTANCE), "runs the script")
    back = _ended(number, step, there)
    status = step.text("status") or ("accepted" if commands else "output")
    exits = "" if step.number("exit_code") is None else f", {back.text}"
    yield replace(back, text=f"{status}{exits}")


def _image(number: int, step: Step) -> Iterator[Event]:
    parts = [
        f"{word} {json.dumps(step.items(name))}"
        for name, word in (("entrypoint", "ENTRYPOINT"), ("cmd", "CMD"))
        if step.items(name)
    ]
    yield Event(number, Shape.NOTE, (Lane.DEPLOYER,), f"an image: {', '.join(parts) or 'plain'}")


def _ask(number: int, step: Step) -> Iterator[Event]:
    there = (Lane.DEPLOYER, Lane.ENCLAVE)
    sent, answered = step.number("sent_bytes"), step.number("answered_bytes")
    port = step.number("port") or 0
    yield Event(number, Shape.CALL, there, f"vsock port {port:.0f}: {sent or 0:,.0f} bytes")
    if answered is not None:
        yield Event(number, Shape.ANSWER, there[::-1], f"{answered:,.0f} bytes")


def _foreign(number: int, step: Step) -> Iterator[Event]:
    text = f"a document under somebody else's root, {step.number('bytes') or 0:,.0f} bytes"
    yield Event(number, Shape.NOTE, (Lane.PARENT,), text)


def _rule_set(number: int, step: Step) -> Iterator[Event]:
    name = step.text("name")
    text = f"follows the rules {name}" if name else "follows its own rules again"
    yield Event(number, Shape.NOTE, (Lane.KMS,), text)


def _identity_policy(number: int, step: Step) -> Iterator[Event]:
    if "statements" not in step.members:
        yield Event(number, Shape.NOTE, (Lane.PARENT,), "its IAM policy is as before")
        return
    text, more = _statements(step)
    yield Event(number, Shape.NOTE, (Lane.PARENT,), f"its IAM policy has {text}", more=more)


def _observation(number: int, step: Step) -> Iterator[Event]:
    answer = step.answer
    found = "" if answer is None else said(answer) or answer.outcome
    rules = ", ".join(str(rule) for rule in step.items("rules"))
    more = (("answer", found), ("about the rules", rules))
    yield Event(number, Shape.NOTE, (), f"observed: {step.text('name')}", more=more)


def _unknown(number: int, step: Step) -> Iterator[Event]:
    yield Event(number, Shape.NOTE, (), step.kind)


_KINDS: Mapping[str, Callable[[int, Step], Iterator[Event]]] = {
    "ask": _ask,
    "attest": _attest,
    "boot": _boot,
    "command": _command,
    "foreign-document": _foreign,
    "identity-policy": _identity_policy,
    "image": _image,
    "key": _key,
    "kms": _kms,
    "observation": _observation,
    "rule-set": _rule_set,
    "script": _script,
    "systems-manager": _systems_manager,
    "time": _time,
}
