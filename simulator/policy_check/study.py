"""Everything that a check knows of the policies: what the traps and the table look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from kms_fake.principals import Match
from simulator.policy_check.evaluation import Evaluator, Key
from simulator.policy_check.requests import Attempt, Candidate, Document, Requests, Values
from simulator.policy_check.statements import ATTESTED_ACTIONS, Platform, Statement
from simulator.policy_check.subjects import Subject


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether some request of a kind is allowed, and the first one that is."""

    allowed: bool
    request: Candidate | None = None

    @property
    def assuming(self) -> Values:
        """The condition keys beside the document's that the request had to bring."""
        return self.request.assumed if self.request else {}


@dataclass(frozen=True, slots=True)
class WayIn:
    """A statement that lets somebody in."""

    statement: Statement
    match: Match


class ByDocument(NamedTuple):
    """A request that is let in by its document."""

    subject: Subject
    action: str
    attempt: Attempt
    statements: tuple[Statement, ...]
    """Those of the key policy that let it in."""


@dataclass(frozen=True)
class Study:
    """The policies of one check.

    `evaluator` is None where the evaluator refuses one of them; then nobody can be asked about, and
    only what the statements say is known.
    """

    key: Key
    statements: Sequence[Statement]
    subjects: Sequence[Subject]
    requests: Requests
    evaluator: Evaluator | None
    _outcomes: dict[tuple[Subject, str, Document], Outcome] = field(default_factory=dict)
    _by_document: dict[Platform, list[ByDocument]] = field(default_factory=dict)

    def outcome(self, subject: Subject, action: str, document: Document) -> Outcome:
        """Whether `subject` may call `action` with such a document."""
        asked = (subject, action, document)
        if asked not in self._outcomes:
            self._outcomes[asked] = self._ask(*asked)
        return self._outcomes[asked]

    def _ask(self, subject: Subject, action: str, document: Document) -> Outcome:
        if self.evaluator is None:
            return Outcome(allowed=False)
        for candidate in self.requests.of(document, subject):
            if self.evaluator.allows(subject, action, candidate.context):
                return Outcome(allowed=True, request=candidate)
        return Outcome(allowed=False)

    def allows(self, subject: Subject, action: str, context: Values) -> bool:
        """Whether exactly this request is allowed."""
        return self.evaluator is not None and self.evaluator.allows(subject, action, context)

    def ways_in(self, subject: Subject, action: str, context: Values) -> Iterator[WayIn]:
        """The statements that let this request in, each taken alone."""
        if self.evaluator is None:
            return
        for statement in self.statements:
            if statement.allows and statement.is_about(action):
                match = self.evaluator.lets_in(statement, subject, action, context)
                if match is not Match.NONE:
                    yield WayIn(statement, match)

    def questions(self) -> Iterator[tuple[Subject, str]]:
        """Every principal with every attested action; none where nothing can be evaluated."""
        if self.evaluator is not None:
            for subject in self.subjects:
                for action in ATTESTED_ACTIONS:
                    yield subject, action

    def let_in_by_document(self, platform: Platform) -> list[ByDocument]:
        """The requests that a document of the platform lets in, where none would be let in."""
        if platform not in self._by_document:
            self._by_document[platform] = list(self._ask_by_document(platform))
        return self._by_document[platform]

    def _ask_by_document(self, platform: Platform) -> Iterator[ByDocument]:
        attempts = [each for each in self.requests.meeting if each.machine.platform is platform]
        for subject, action in self.questions():
            if self.outcome(subject, action, Document.NONE).allowed:
                continue
            for attempt in attempts:
                context = attempt.context(subject)
                if self.allows(subject, action, context):
                    ways = [way.statement for way in self.ways_in(subject, action, context)]
                    statements = tuple(each for each in ways if each.in_key_policy)
                    yield ByDocument(subject, action, attempt, statements)

    def is_attested(self, subject: Subject) -> bool:
        """Whether the subject can use the key with a document for which it cannot without one."""
        return any(
            self.outcome(subject, action, Document.MEETING).allowed
            and not self.outcome(subject, action, Document.NONE).allowed
            for action in ATTESTED_ACTIONS
        )

    @cached_property
    def asks_for_attestation(self) -> bool:
        """Whether any statement looks at a document, or was meant to."""
        return any(statement.attestation for statement in self.statements)
