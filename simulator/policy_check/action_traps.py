"""Traps in what else a policy allows, and to whom: ways round attestation by other actions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from simulator.policy_check.findings import Case, Found, Severity
from simulator.policy_check.requests import Document
from simulator.policy_check.statements import ATTESTED_ACTIONS, NO_KEY_ACTION
from simulator.policy_check.study import Study
from simulator.policy_check.subjects import (
    Iam,
    Kind,
    Subject,
    other_account,
    principal_of,
    root_user,
)

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

_PUT_KEY_POLICY = "kms:PutKeyPolicy"

_ADDED_CONTEXT: Mapping[str, Mapping[str, str]] = {
    # A grant for Decrypt that the caller makes itself, not an AWS service on its behalf.
    "kms:CreateGrant": {"kms:GrantIsForAWSResource": "false", "kms:GrantOperations": "Decrypt"},
}
"""What a request for the action always brings."""


@dataclass(frozen=True, slots=True)
class _Severities:
    """By who may do it."""

    attested: Severity
    """Whoever must attest to use the key: the parent of the enclave."""
    other: Severity
    only_if_iam_allows: Severity

    def of(self, study: Study, subject: Subject) -> Severity:
        if subject.only_if_iam_allows:
            return self.only_if_iam_allows
        return self.attested if study.is_attested(subject) else self.other


def _left_open(study: Study, action: str, severities: _Severities, wrong: str) -> Iterator[Found]:
    """The statements by which somebody may call an action that knows no attestation."""
    if study.evaluator is None or not study.asks_for_attestation:
        return
    for subject in study.subjects:
        for candidate in study.requests.of(Document.NONE, subject):
            context = {**candidate.context, **_ADDED_CONTEXT.get(action, {})}
            if not study.allows(subject, action, context):
                continue
            severity = severities.of(study, subject)
            for way in study.ways_in(subject, action, context):
                case = Case(subject, action, Document.NONE)
                whose = " to the principal that must attest" if study.is_attested(subject) else ""
                yield Found(way.statement, severity, f"{action} is left open{whose}: {wrong}", "",
                            (case,))  # fmt: skip
            break


def policy_change_open(study: Study) -> Iterable[Found]:
    """PutKeyPolicy."""
    return _left_open(
        study, _PUT_KEY_POLICY, _Severities(ERROR, INFO, INFO),
        "whoever may call it can take the conditions away",
    )  # fmt: skip


def grant_open(study: Study) -> Iterable[Found]:
    """CreateGrant, where no Deny stops the grantee."""
    shown = tuple(_by_grant(study))
    if not shown:
        return
    for found in _left_open(
        study, "kms:CreateGrant", _Severities(ERROR, WARNING, WARNING),
        "a grant lets its grantee decrypt without a document",
    ):  # fmt: skip
        yield Found(found.statement, found.severity, found.wrong, "", (*found.cases, *shown))


def _by_grant(study: Study) -> Iterator[Case]:
    """What the holder of a grant can do with no document, or with that of any enclave."""
    if study.evaluator is None:
        return
    for account in (study.key.account, other_account(study.key.account)):
        arn = f"arn:{study.key.partition}:iam::{account}:role/grantee"
        grantee = Subject(
            f"the holder of a grant in account {account}",
            Kind.NAMED, principal_of(arn), Iam.EVERYTHING,
        )  # fmt: skip
        for document in (Document.NONE, Document.ANY):
            if any(
                study.evaluator.allows_by_grant(grantee, "kms:Decrypt", candidate.context)
                for candidate in study.requests.of(document, grantee)
            ):
                yield Case(grantee, "kms:Decrypt", document)


def re_encrypt_open(study: Study) -> Iterable[Found]:
    """ReEncryptFrom."""
    return _left_open(
        study, "kms:ReEncryptFrom", _Severities(ERROR, ERROR, WARNING),
        "a ciphertext can be moved under another key and be decrypted there",
    )  # fmt: skip


def replicate_open(study: Study) -> Iterable[Found]:
    """ReplicateKey."""
    return _left_open(
        study, "kms:ReplicateKey", _Severities(ERROR, WARNING, INFO),
        "a multi-Region key can be given a replica with a key policy of its own",
    )  # fmt: skip


def import_open(study: Study) -> Iterable[Found]:
    """ImportKeyMaterial."""
    return _left_open(
        study, "kms:ImportKeyMaterial", _Severities(ERROR, WARNING, INFO),
        "whoever imports key material knows it and needs no KMS to decrypt",
    )  # fmt: skip


_PLAIN_ACTION = re.compile(r"kms:[a-z]+", re.IGNORECASE)
_ATTESTED = frozenset(action.lower() for action in (*ATTESTED_ACTIONS, NO_KEY_ACTION))


def attestation_on_other_action(study: Study) -> Iterable[Found]:
    """A condition on attestation for an action that takes no document."""
    for statement in study.statements:
        if not statement.allows or not statement.attestation:
            continue
        always = all(condition.holds_when_absent for condition in statement.attestation)
        for action in statement.actions:
            if not _PLAIN_ACTION.fullmatch(action) or action.lower() in _ATTESTED:
                continue
            wrong = f"{action} never comes with a document, so that this "
            wrong += "always allows it" if always else "never allows it"
            severity = ERROR if always else WARNING
            yield Found(statement, severity, wrong, f"{statement.path}.Action")


def not_action(study: Study) -> Iterable[Found]:
    """An Allow for all actions but some."""
    for statement in study.statements:
        if statement.allows and "NotAction" in statement.element:
            if not statement.in_key_policy and not statement.is_about_any(ATTESTED_ACTIONS):
                continue
            wrong = "it allows every action that is not listed, those of the future too"
            yield Found(statement, WARNING, wrong, f"{statement.path}.NotAction")


def not_principal(study: Study) -> Iterable[Found]:
    """Everybody but some."""
    for statement in study.statements:
        if "NotPrincipal" in statement.element:
            wrong = (
                "it lets in everybody who is not listed"
                if statement.allows
                else "who is spared must be listed by account, role and each session"
            )
            severity = ERROR if statement.allows else WARNING
            yield Found(statement, severity, wrong, f"{statement.path}.NotPrincipal")


def deny_locks_out(study: Study) -> Iterable[Found]:
    """A Deny on attestation that takes in the key's administration."""
    if study.evaluator is None:
        return
    root = Subject(
        "the root user of the key's account",
        Kind.NAMED,
        root_user(study.key.partition, study.key.account),
        Iam.EVERYTHING,
    )
    everybody = (root, *study.subjects)
    if any(_may_change_policy(study, subject) for subject in everybody):
        return
    for statement in study.statements:
        denies = not statement.allows and statement.in_key_policy
        if (
            denies
            and statement.attestation
            and statement.is_about(_PUT_KEY_POLICY)
            and all(condition.holds_when_absent for condition in statement.attestation)
        ):
            case = Case(root, _PUT_KEY_POLICY, Document.NONE, allowed=False)
            wrong = "it denies the administration of the key, which never comes with a document"
            yield Found(statement, ERROR, wrong, cases=(case,))


def _may_change_policy(study: Study, subject: Subject) -> bool:
    return any(
        study.allows(subject, _PUT_KEY_POLICY, candidate.context)
        for candidate in study.requests.of(Document.NONE, subject)
    )


def service_without_attestation(study: Study) -> Iterable[Found]:
    """An AWS service that may use the key: services attest nothing.

    The evaluator knows no callers that are services, so this is read off the statement, where no
    Deny stops everybody.
    """
    if not study.asks_for_attestation or (study.evaluator and not any(_by_grant(study))):
        return
    for statement in study.statements:
        uses = statement.allows and statement.is_about_any(ATTESTED_ACTIONS)
        if uses and statement.services and not statement.attestation:
            wrong = f"{', '.join(statement.services)} may use the key without a document"
            yield Found(statement, WARNING, wrong, f"{statement.path}.Principal.Service")
