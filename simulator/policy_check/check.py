"""One check, from files to its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulator.policy_check.evaluation import Evaluator, Key, Unsupported
from simulator.policy_check.findings import Finding, Severity, merged
from simulator.policy_check.reading import PolicyFile
from simulator.policy_check.requests import Requests
from simulator.policy_check.statements import statements_of
from simulator.policy_check.study import Study
from simulator.policy_check.subjects import key_of, subjects_of
from simulator.policy_check.traps import TRAPS


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found."""

    policy: PolicyFile
    identities: Sequence[PolicyFile]
    study: Study
    with_given_document: bool
    findings: Sequence[Finding]
    """Worst first, then in the order of the table and of the statements."""
    unsupported: str | None
    """Why the policies could not be evaluated: file, path and element. Then the table is empty and
    only the traps that can be read off a statement are there."""

    def reaches(self, severity: Severity) -> bool:
        """Whether anything is as bad as `severity`."""
        return any(finding.found.severity.rank <= severity.rank for finding in self.findings)


def check(
    policy: PolicyFile,
    identities: Sequence[PolicyFile] = (),
    *,
    callers: Sequence[str] = (),
    account: str | None = None,
    key_arn: str | None = None,
    document: Mapping[int, str] | None = None,
) -> Result:
    """Who can call what under a key policy, and its traps.

    `identities` are IAM policies of the callers or, where `callers` is empty, of every principal of
    the key's account. `callers` are ARNs, `account` is the number of the key's account where the
    policy does not tell it, `document` are the PCRs of a document to ask with beside the others.

    Raises Unreadable for a policy that AWS would refuse, and for a caller, an account or a key ARN
    that is none or does not fit.
    """
    statements = [statement for file in (policy, *identities) for statement in statements_of(file)]
    key = Key(*key_of(statements, account, key_arn))
    subjects = subjects_of(
        statements,
        account=key.account,
        partition=key.partition,
        callers=callers,
        has_identity=bool(identities),
    )
    evaluator, unsupported = _evaluator(key, policy, identities)
    study = Study(key, statements, subjects, Requests(statements, document), evaluator)
    found = [Finding(trap, each) for trap in TRAPS for each in merged(trap.look(study))]
    found.sort(key=lambda finding: finding.found.severity.rank)
    return Result(policy, identities, study, document is not None, found, unsupported)


def _evaluator(
    key: Key, policy: PolicyFile, identities: Sequence[PolicyFile]
) -> tuple[Evaluator | None, str | None]:
    try:
        return Evaluator(key, policy, identities), None
    except Unsupported as error:
        return None, str(error)
