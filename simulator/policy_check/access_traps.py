"""Traps that are found by asking who is let in: each is shown by a request that is allowed.

Nothing here is found where the evaluator cannot evaluate the policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kms_fake.principals import Match
from simulator.policy_check.findings import Case, Found, Severity
from simulator.policy_check.requests import (
    DEPLOYMENT_PCRS,
    IMAGE_PCRS,
    SIGNER_PCR,
    ZERO,
    Attempt,
    Document,
)
from simulator.policy_check.statements import Platform, Statement
from simulator.policy_check.study import Study
from simulator.policy_check.subjects import Iam, Kind, Subject

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

_DATA_KEY_ACTIONS = frozenset({"kms:GenerateDataKey", "kms:GenerateDataKeyPair"})


def without_document(
    study: Study,
) -> Iterator[tuple[Subject, str, Statement, Match]]:
    """Each way to an attested action without a document: who, which action, by which statement."""
    for subject, action in study.questions():
        outcome = study.outcome(subject, action, Document.NONE)
        if outcome.request is not None:
            for way in study.ways_in(subject, action, outcome.request.context):
                yield subject, action, way.statement, way.match


def no_attestation(study: Study) -> Iterable[Found]:
    """No statement looks at a document."""
    if study.asks_for_attestation:
        return
    for subject, action, statement, _ in without_document(study):
        yield Found(
            statement,
            ERROR,
            "no statement asks for an attestation document",
            cases=(Case(subject, action, Document.NONE),),
        )


def unconditional_allow(study: Study) -> Iterable[Found]:
    """An Allow without a condition on attestation, in a policy that has such conditions."""
    if not study.asks_for_attestation:
        return
    for subject, action, statement, match in without_document(study):
        delegated = match is Match.ACCOUNT
        if statement.attestation or delegated or not statement.in_key_policy:
            continue
        yield Found(
            statement,
            _severity_without_document(study, subject, action),
            "this Allow asks for no document",
            cases=(Case(subject, action, Document.NONE),),
        )


def _severity_without_document(study: Study, subject: Subject, action: str) -> Severity:
    """WARNING for data keys that somebody makes who never was to attest for them.

    Such a caller learns the keys that it makes, and no others: so data is sealed for an enclave
    ("Using cryptographic attestation with AWS KMS", Nitro Enclaves User Guide, has the data's owner
    call GenerateDataKey).
    """
    if action not in _DATA_KEY_ACTIONS:
        return ERROR
    meant_to_attest = any(
        way.statement.attestation
        for candidate in study.requests.of(Document.MEETING, subject)
        for way in study.ways_in(subject, action, candidate.context)
    )
    return ERROR if meant_to_attest else WARNING


def iam_bypass(study: Study) -> Iterable[Found]:
    """The key policy leaves the decision to IAM, and an IAM policy lets in without a document."""
    if not study.asks_for_attestation:
        return
    for subject, action, statement, match in without_document(study):
        if match is not Match.ACCOUNT or statement.attestation:
            continue
        account = f"IAM decides for account {subject.principal.account}"
        if subject.iam is Iam.GIVEN:
            severity = ERROR
            wrong = f"{account}, and {_allowing(study, subject, action)} allows without a document"
        else:
            severity = WARNING
            wrong = f"{account}: any Allow in an IAM policy there lets in without a document"
        yield Found(statement, severity, wrong, cases=(Case(subject, action, Document.NONE),))


def _allowing(study: Study, subject: Subject, action: str) -> str:
    """Where the given IAM policies allow this without a document."""
    return " and ".join(
        f"{statement.file.name} {statement.path}"
        for who, what, statement, _ in without_document(study)
        if (who, what) == (subject, action) and not statement.in_key_policy
    )


def everybody(study: Study) -> Iterable[Found]:
    """Principals of any account are let in."""
    for subject, action in study.questions():
        if subject.kind is not Kind.OUTSIDER:
            continue
        for document, severity in ((Document.NONE, ERROR), (Document.MEETING, WARNING)):
            request = study.outcome(subject, action, document).request
            if request is None:
                continue
            for way in study.ways_in(subject, action, request.context):
                if way.statement.in_key_policy:
                    case = Case(subject, action, document)
                    wrong = f"principals of any account are let in with {document.value}"
                    yield Found(way.statement, severity, wrong, "", (case,))
            break


# What of a document is pinned: each asks again with a document that differs in some measurements.


def _still_in(
    study: Study, subject: Subject, action: str, attempt: Attempt, changed: Iterable[int]
) -> bool:
    machine = attempt.machine.changed(changed)
    return study.allows(subject, action, Attempt(machine, attempt.assumed).context(subject))


def _any_image(study: Study, subject: Subject, action: str, attempt: Attempt) -> bool:
    machine = attempt.machine.with_another_image()
    return study.allows(subject, action, Attempt(machine, attempt.assumed).context(subject))


def image_not_pinned(study: Study) -> Iterable[Found]:
    """Any image is let in: at most the parent's role and instance are asked for."""
    for platform in Platform:
        for subject, action, attempt, statements in study.let_in_by_document(platform):
            if _any_image(study, subject, action, attempt):
                wrong = "no measurement of the image is asked for"
                case = Case(subject, action, Document.MEETING, "of another image")
                yield from _found(statements, ERROR, wrong, case)


def pcr0_only(study: Study) -> Iterable[Found]:
    """PCR0 is asked for, PCR1 and PCR2 are not."""
    for subject, action, attempt, statements in study.let_in_by_document(Platform.ENCLAVE):
        if _still_in(study, subject, action, attempt, (1, 2)) and not _still_in(
            study, subject, action, attempt, (0,)
        ):
            wrong = "PCR1 and PCR2 may be anything"
            case = Case(subject, action, Document.MEETING, "other PCR1 and PCR2")
            yield from _found(statements, WARNING, wrong, case)


def image_partly_pinned(study: Study) -> Iterable[Found]:
    """One of PCR1 and PCR2 is enough: the rest of the image, and who signed it, may differ."""
    for subject, action, attempt, statements in study.let_in_by_document(Platform.ENCLAVE):
        if _any_image(study, subject, action, attempt):
            continue
        for enough, others in ((1, (0, 2, SIGNER_PCR)), (2, (0, 1, SIGNER_PCR))):
            if _still_in(study, subject, action, attempt, others):
                case = Case(subject, action, Document.MEETING, f"{_names(others)} of another image")
                wrong = f"PCR{enough} is enough: the rest of the image may be anything"
                yield from _found(statements, WARNING, wrong, case)


def combined_denial(study: Study) -> Iterable[Found]:
    """A Deny over several measurements, which holds only where all of them differ."""
    for deny in study.statements:
        pcrs = {
            condition.measurement.pcr
            for condition in deny.conditions
            if not deny.allows
            and condition.negated
            and condition.measurement is not None
            and condition.measurement.platform is Platform.ENCLAVE
        }
        if len(pcrs) < 2:
            continue
        for subject, action, attempt, _ in study.let_in_by_document(Platform.ENCLAVE):
            for enough in sorted(pcrs):
                others = sorted(pcrs - {enough})
                if deny.is_about(action) and _still_in(study, subject, action, attempt, others):
                    case = Case(subject, action, Document.MEETING, f"another {_names(others)}")
                    wrong = f"it denies only where {_names(sorted(pcrs))} all differ"
                    yield Found(deny, ERROR, wrong, "", (case,))


def _names(pcrs: Sequence[int]) -> str:
    *first, last = (f"PCR{pcr}" for pcr in pcrs)
    return f"{', '.join(first)} and {last}" if first else last


def debug_enclave(study: Study) -> Iterable[Found]:
    """An enclave in debug mode is let in."""
    for subject, action, attempt, statements in study.let_in_by_document(Platform.ENCLAVE):
        debug = Attempt(attempt.machine.in_debug_mode(), attempt.assumed)
        if not study.allows(subject, action, debug.context(subject)):
            continue
        case = Case(subject, action, Document.DEBUG)
        denials = [statement for statement in study.statements if not statement.allows]
        pinned = [each for each in (*statements, *denials) if _asks_for_zeros(each)]
        if pinned:
            wrong = "it asks for the zeros that an enclave in debug mode has"
            yield from _found(pinned, ERROR, wrong, case)
        elif not _any_image(study, subject, action, attempt):
            wrong = "PCR0, PCR1 and PCR2 may be the zeros of debug mode"
            yield from _found(statements, WARNING, wrong, case)


def _asks_for_zeros(statement: Statement) -> bool:
    return any(
        condition.measurement is not None
        and condition.measurement.platform is Platform.ENCLAVE
        and condition.measurement.pcr in IMAGE_PCRS
        and condition.negated is not statement.allows
        and ZERO in condition.values
        for condition in statement.conditions
    )


_DEPLOYMENT_KEYS = (
    "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:principalarn",
    "aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip", "kms:calleraccount",
)  # fmt: skip


def no_deployment_binding(study: Study) -> Iterable[Found]:
    """The same image is let in wherever it runs."""
    for subject, action, attempt, statements in study.let_in_by_document(Platform.ENCLAVE):
        bound = (*DEPLOYMENT_PCRS, SIGNER_PCR)
        if not _still_in(study, subject, action, attempt, bound):
            continue
        if _any_image(study, subject, action, attempt):
            continue
        loose = [statement for statement in statements if not _binds_the_caller(statement)]
        anywhere = subject.kind in {Kind.ANYBODY, Kind.OUTSIDER}
        severity = WARNING if anywhere else INFO
        wrong = "PCR3, PCR4 and PCR8 may be anything, and nothing else says where the image runs"
        case = Case(subject, action, Document.MEETING, "other PCR3, PCR4 and PCR8")
        yield from _found(loose, severity, wrong, case)


def _binds_the_caller(statement: Statement) -> bool:
    return any(
        condition.key.lower() in _DEPLOYMENT_KEYS and not condition.holds_when_absent
        for condition in statement.conditions
    )


def _found(
    statements: Iterable[Statement], severity: Severity, wrong: str, case: Case
) -> Iterator[Found]:
    for statement in statements:
        yield Found(statement, severity, wrong, cases=(case,))
