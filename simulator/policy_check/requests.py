"""The requests that a check makes: with which document, and what else they bring.

A cell of the table asks whether *some* request of its kind is allowed, since whoever wants in
chooses the request. So each kind has several candidates, made from what the statements ask for:
measurements that meet a statement, and values that meet its other conditions (an encryption
context, a source address). Those are assumed where they help, and what was assumed is told.

What measurements a document brings follows `ReceivedDocument.condition_values` of `kms_fake`:
lower-case hexadecimal, every PCR of the document, ImageSha384 equal to PCR0.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from simulator.policy_check.statements import Condition, Measurement, Platform, Statement
from simulator.policy_check.subjects import Kind, Subject

ZERO = "00" * 48

IMAGE_PCRS = (0, 1, 2)
"""The measurements of an enclave's image; zeros in debug mode."""
DEPLOYMENT_PCRS = (3, 4)
"""The parent's role and its instance ("Where to get an enclave's measurements", Nitro Enclaves
User Guide)."""
SIGNER_PCR = 8
_ENCLAVE_PCRS = range(16)
_TPM_PCRS = range(24)


class Document(enum.Enum):
    """Which attestation document a request brings."""

    NONE = "no document"
    ANY = "any enclave's document"
    MEETING = "a document that meets the policy"
    DEBUG = "a debug enclave's document"
    GIVEN = "the given document"


Values = Mapping[str, str]
"""Condition keys of a request, as the evaluator takes them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One request: what its document says, and what it brings beside."""

    measurements: Values
    assumed: Values

    @property
    def context(self) -> dict[str, str]:
        """All condition keys of the request."""
        return {**self.assumed, **self.measurements}


def other_digest(pcr: int) -> str:
    """What an image that nobody asked for measures in a PCR."""
    return hashlib.sha384(b"another image, PCR%d" % pcr).hexdigest()


def enclave_document(pcrs: Mapping[int, str]) -> dict[str, str]:
    """The condition keys that an enclave's document with these PCRs brings."""
    values = {Measurement(Platform.ENCLAVE, pcr).key: digest for pcr, digest in pcrs.items()}
    if 0 in pcrs:
        values["kms:RecipientAttestation:ImageSha384"] = pcrs[0]
    return values


def _tpm_document(pcrs: Mapping[int, str]) -> dict[str, str]:
    return {Measurement(Platform.NITRO_TPM, pcr).key: digest for pcr, digest in pcrs.items()}


_OTHER_ENCLAVE = {
    pcr: other_digest(pcr) if pcr in {*IMAGE_PCRS, *DEPLOYMENT_PCRS, SIGNER_PCR} else ZERO
    for pcr in _ENCLAVE_PCRS
}
_OTHER_TPM = {pcr: other_digest(pcr) for pcr in _TPM_PCRS}


@dataclass(frozen=True, slots=True)
class Machine:
    """What attests: its platform and its measurements."""

    platform: Platform
    pcrs: Mapping[int, str]

    @property
    def values(self) -> dict[str, str]:
        """The condition keys of its document."""
        build = enclave_document if self.platform is Platform.ENCLAVE else _tpm_document
        return build(self.pcrs)

    def changed(self, pcrs: Iterable[int]) -> Machine:
        """The same with other values in some PCRs."""
        return Machine(self.platform, {**self.pcrs, **{pcr: other_digest(pcr) for pcr in pcrs}})

    def with_another_image(self) -> Machine:
        """The same role and instance with another image, unsigned or signed by another."""
        if self.platform is Platform.NITRO_TPM:
            return Machine(self.platform, _OTHER_TPM)
        kept = {pcr: self.pcrs[pcr] for pcr in DEPLOYMENT_PCRS}
        return Machine(self.platform, {**_OTHER_ENCLAVE, **kept})

    def in_debug_mode(self) -> Machine:
        """The same in debug mode, which zeroes the image's measurements."""
        return Machine(self.platform, {**self.pcrs, **dict.fromkeys(IMAGE_PCRS, ZERO)})


@dataclass(frozen=True, slots=True)
class Attempt:
    """A machine that a statement asks for, and what else helps there."""

    machine: Machine
    assumed: Values

    def context(self, subject: Subject) -> dict[str, str]:
        """The condition keys of such a request of the subject."""
        return Candidate(self.machine.values, possible(self.assumed, subject)).context


class Requests:
    """The candidates that follow from the statements of a check."""

    def __init__(self, statements: Sequence[Statement], given: Mapping[int, str] | None) -> None:
        self._statements = statements
        self._given = given

    def of(self, document: Document, subject: Subject) -> list[Candidate]:
        """The requests of `subject` with such a document; those that assume least come first."""
        return [
            Candidate(measurements, possible(assumed, subject))
            for measurements, assumed in self._of_kind(document)
        ]

    def _of_kind(self, document: Document) -> list[tuple[Values, Values]]:
        match document:
            case Document.NONE:
                return [({}, assumed) for assumed in self._assumptions]
            case Document.ANY:
                machines = [machine.values for machine in _OTHER_MACHINES]
                return [(each, assumed) for assumed in self._assumptions for each in machines]
            case Document.MEETING:
                return [(each.machine.values, each.assumed) for each in self.meeting]
            case Document.DEBUG:
                return [
                    (each.machine.in_debug_mode().values, each.assumed)
                    for each in self.meeting
                    if each.machine.platform is Platform.ENCLAVE
                ]
            case Document.GIVEN:
                given = enclave_document(self._given or {})
                return [(given, assumed) for assumed in self._assumptions]

    @cached_property
    def _assumptions(self) -> list[Values]:
        """Nothing; what escapes the denials; that and what meets each Allow."""
        escapes = self._escapes
        found: list[Values] = [{}, escapes]
        found += [{**escapes, **_met_by(allow, negated=False)} for allow in self._of(allows=True)]
        return _unique(found)

    @cached_property
    def _escapes(self) -> dict[str, str]:
        escapes: dict[str, str] = {}
        for deny in self._of(allows=False):
            escapes.update(_met_by(deny, negated=True))
        return escapes

    @cached_property
    def meeting(self) -> list[Attempt]:
        """The machines that the policies ask for, each with what else their statement asks for."""
        found = []
        for allow in self._of(allows=True):
            assumed = {**self._escapes, **_met_by(allow, negated=False)}
            for machine in self._machines(allow):
                found += [Attempt(machine, {}), Attempt(machine, assumed)]
        return [attempt for index, attempt in enumerate(found) if attempt not in found[:index]] or [
            Attempt(machine, {}) for machine in _OTHER_MACHINES
        ]

    def _machines(self, allow: Statement) -> Iterator[Machine]:
        """Machines that meet an Allow; where it lists several values, one machine for each."""
        wanted = _wanted(allow, negated=False)
        escapes = [pair for deny in self._of(allows=False) for pair in _wanted(deny, negated=True)]
        several = max((len(values) for _, values in [*wanted, *escapes]), default=1)
        for turn in range(several):
            chosen = {
                measurement: _digest(values[min(turn, len(values) - 1)], measurement.pcr)
                for measurement, values in [*escapes, *wanted]
            }
            platforms = {measurement.platform for measurement, _ in wanted or escapes}
            for machine in _OTHER_MACHINES:
                if platforms and machine.platform not in platforms:
                    continue
                mine = {m.pcr: d for m, d in chosen.items() if m.platform is machine.platform}
                yield Machine(machine.platform, {**machine.pcrs, **mine})

    def _of(self, *, allows: bool) -> Iterator[Statement]:
        return (statement for statement in self._statements if statement.allows is allows)


_OTHER_MACHINES = (
    Machine(Platform.ENCLAVE, _OTHER_ENCLAVE),
    Machine(Platform.NITRO_TPM, _OTHER_TPM),
)

_HEX = re.compile(r"[0-9a-f]{96}")


def _digest(value: str, pcr: int) -> str:
    """The measurement that `value` of a condition asks for; another one if there is none."""
    text = value.lower().replace("?", "0")
    before, star, after = text.partition("*")
    if star:
        after = after.replace("*", "")
        text = before + "0" * (len(ZERO) - len(before) - len(after)) + after
    return text if _HEX.fullmatch(text) else other_digest(pcr)


def _wanted(statement: Statement, *, negated: bool) -> list[tuple[Measurement, tuple[str, ...]]]:
    return [
        (condition.measurement, condition.values)
        for condition in statement.conditions
        if condition.measurement is not None
        and condition.values
        and condition.base.startswith("String")
        and condition.negated is negated
    ]


# What meets the conditions that are not about attestation.

_FILLED_IN = frozenset({"aws:principalarn", "aws:principalaccount", "kms:calleraccount"})
"""What the caller is, which no request chooses."""

_NOT_FOR_OUTSIDERS = ("aws:principal", "aws:sourcevpc", "aws:vpce")
"""What only the principals and the networks of the key's owner have."""


def _same(value: str) -> str:
    return value


def _without_wildcards(value: str) -> str:
    return value.replace("*", "x").replace("?", "x")


_EXAMPLES: Mapping[str, Callable[[str], str]] = {
    "StringEquals": _same,
    "StringEqualsIgnoreCase": _same,
    "StringLike": _without_wildcards,
    "ArnEquals": _without_wildcards,
    "ArnLike": _without_wildcards,
    "Bool": _same,
    "NumericEquals": _same,
    "NumericLessThan": lambda _: "0",
    "NumericLessThanEquals": _same,
    "NumericGreaterThan": lambda _: "999999999999",
    "NumericGreaterThanEquals": _same,
    "DateEquals": _same,
    "DateLessThan": lambda _: "2000-01-01T00:00:00Z",
    "DateLessThanEquals": _same,
    "DateGreaterThan": lambda _: "2999-12-31T00:00:00Z",
    "DateGreaterThanEquals": _same,
    "IpAddress": lambda value: value.split("/")[0],
}


def _met_by(statement: Statement, *, negated: bool) -> dict[str, str]:
    """Values that meet the conditions of an Allow, or escape those of a Deny (`negated`)."""
    met = {}
    for condition in statement.conditions:
        if condition.attestation or condition.key.lower() in _FILLED_IN:
            continue
        value = _meeting_value(condition, negated=negated)
        if value is not None and "${" not in value:
            met[condition.key] = value
    return met


def _meeting_value(condition: Condition, *, negated: bool) -> str | None:
    if condition.base == "Null":
        wanted = "true" if negated else "false"
        return "x" if condition.values == (wanted,) else None
    if condition.negated is not negated or not condition.values:
        return None
    example = _EXAMPLES.get(condition.base.replace("Not", ""))
    return example(condition.values[0]) if example else None


def possible(assumed: Values, subject: Subject) -> Values:
    """What of `assumed` the subject can bring."""
    if subject.kind is not Kind.OUTSIDER:
        return assumed
    return {
        key: value
        for key, value in assumed.items()
        if not key.lower().startswith(_NOT_FOR_OUTSIDERS)
    }


def _unique(contexts: Iterable[Values]) -> list[Values]:
    found: list[Values] = []
    for context in contexts:
        if context not in found:
            found.append(context)
    return found
