"""Every reason for which this Systems Manager refuses a request, in the order of its checks.

One row is one refusal, as in `kms_fake.rules`: how sure its exception type, its text and its place
are is stated apart. Where the real text is unknown the message is ours and says so at its end, so
that nobody writes code against it; a row that is a limit of this fake says that instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kms_fake.errors import our_text
from kms_fake.evidence import Evidence
from simulator.systems_manager import checks
from simulator.systems_manager.checks import Request
from simulator.systems_manager.refusals import SsmRefusal

_DOCUMENTED = Evidence.DOCUMENTED
_REPORTED = Evidence.REPORTED
_INFERRED = Evidence.INFERRED
_UNKNOWN = Evidence.UNKNOWN

LIMIT = "a limit of this fake, not of Systems Manager"
SEND = frozenset({"SendCommand"})
GET = frozenset({"GetCommandInvocation"})
CANCEL = frozenset({"CancelCommand"})
LISTS = frozenset({"ListCommands", "ListCommandInvocations"})
DESCRIBE = frozenset({"DescribeInstanceInformation"})
PAGED = LISTS | DESCRIBE
ALL = SEND | GET | CANCEL | PAGED
"""The operations that this service answers itself; the others are moto's."""

_MODEL = "service model of Systems Manager (botocore, ssm/2014-11-06)"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    id: str
    exception: str
    """The AWS exception type."""
    text: str | None
    """The message; `{}` stands for what was found; None where the real text is unknown."""
    refuses: Callable[[Request], str | None]
    """What it found wrong, in words for the user or as the text's `{}`; None to let pass."""
    type_evidence: Evidence
    text_evidence: Evidence
    order_evidence: Evidence
    """How sure it is that this row comes after the one before it."""
    source: str
    operations: frozenset[str] = ALL
    http_status: int = 400

    def refuse(self, found: str) -> SsmRefusal:
        """The error that a client gets for what the check found."""
        if self.text is not None:
            message = self.text.replace("{}", found)
        elif self.source == LIMIT:
            message = f"{found} [attested-kms: not simulated, {self.id}]"
        else:
            message = our_text(found, self.id)
        return SsmRefusal(self.exception, message, self.http_status, self.id)


RULES: tuple[Rule, ...] = (
    Rule(
        "ssm.object", "SerializationException", None, checks.not_an_object,
        _INFERRED, _UNKNOWN, _INFERRED, "json 1.1 protocol of AWS services",
    ),
    Rule(
        "ssm.member-type", "SerializationException", None, checks.wrong_type,
        _INFERRED, _UNKNOWN, _INFERRED, f"json 1.1 protocol; {_MODEL}",
    ),
    Rule(
        "ssm.constraint", "ValidationException", "{}", checks.violations,
        _REPORTED, _REPORTED, _INFERRED,
        "aws/aws-cli issue 7048 (a pattern; the others have the form that KMS gives them)",
    ),
    Rule(
        "ssm.no-target", "ValidationException", None, checks.no_target,
        _UNKNOWN, _UNKNOWN, _UNKNOWN, f"{_MODEL}: Targets is required without InstanceIds",
        operations=SEND,
    ),
    Rule(
        "ssm.duplicate-instance", "DuplicateInstanceId", "", checks.duplicate_instance,
        _DOCUMENTED, _INFERRED, _UNKNOWN, f"{_MODEL}: the type has no message",
        operations=SEND | CANCEL,
    ),
    Rule(
        "ssm.document", "InvalidDocument", None, checks.other_document,
        _DOCUMENTED, _UNKNOWN, _UNKNOWN, f"{_MODEL}: the document does not exist", operations=SEND,
    ),
    Rule(
        "ssm.document-version", "InvalidDocumentVersion", None, checks.other_version,
        _DOCUMENTED, _UNKNOWN, _UNKNOWN, _MODEL, operations=SEND,
    ),
    Rule(
        "ssm.parameters", "InvalidParameters", None, checks.bad_parameters,
        _DOCUMENTED, _UNKNOWN, _UNKNOWN,
        f"{_MODEL}: all required parameters, and none that the document does not define",
        operations=SEND,
    ),
    Rule(
        "ssm.size", "MaxDocumentSizeExceeded", None, checks.too_large,
        _DOCUMENTED, _UNKNOWN, _UNKNOWN,
        f"{_MODEL}: 64 KB, parameters given at runtime included (CreateDocument, Content). What "
        "is counted is not known; here it is the bytes of the document and of the values",
        operations=SEND,
    ),
    Rule(
        "ssm.instance", "InvalidInstanceId", "Instances [[{}", checks.unmanaged_instance,
        _REPORTED, _REPORTED, _UNKNOWN,
        "gravitational/teleport issue 24176; aws-samples/eks-security-compromised-cluster-"
        "remediation issue 12",
        operations=SEND,
    ),
    Rule(
        "ssm.not-simulated", "UnsupportedOperationException", None, checks.not_simulated,
        _UNKNOWN, _UNKNOWN, _UNKNOWN, LIMIT, operations=SEND,
    ),
    Rule(
        "ssm.command-id", "InvalidCommandId", "", checks.unknown_command,
        _DOCUMENTED, _INFERRED, _UNKNOWN, f"{_MODEL}: the type has no message", operations=CANCEL,
    ),
    Rule(
        "ssm.cancel-instance", "InvalidInstanceId", None, checks.not_of_command,
        _DOCUMENTED, _UNKNOWN, _UNKNOWN, _MODEL, operations=CANCEL,
    ),
    Rule(
        "ssm.invocation", "InvocationDoesNotExist", "", checks.no_invocation,
        _REPORTED, _REPORTED, _UNKNOWN,
        "guardian/ssm-scala pull request 34: no message; aws/aws-sdk issue 86: right after "
        "SendCommand too. That an unknown command is refused so follows",
        operations=GET,
    ),
    Rule(
        "ssm.plugin-name", "InvalidPluginName", "", checks.other_plugin,
        _DOCUMENTED, _INFERRED, _UNKNOWN, f"{_MODEL}: the type has no message", operations=GET,
    ),
    Rule(
        "ssm.filter-key", "InvalidFilterKey", "", checks.wrong_filter_key,
        _DOCUMENTED, _INFERRED, _UNKNOWN, f"{_MODEL}: the type has no message", operations=PAGED,
    ),
    Rule(
        "ssm.filter", "UnsupportedOperationException", None, checks.other_filter,
        _UNKNOWN, _UNKNOWN, _UNKNOWN, LIMIT, operations=PAGED,
    ),
    Rule(
        "ssm.next-token", "InvalidNextToken", None, checks.bad_token,
        _DOCUMENTED, _UNKNOWN, _UNKNOWN, _MODEL, operations=PAGED,
    ),
)  # fmt: skip


def refusal(request: Request) -> SsmRefusal | None:
    """The first rule's that refuses the request; None if nothing is wrong with it."""
    for rule in RULES:
        if request.operation in rule.operations:
            found = rule.refuses(request)
            if found is not None:
                return rule.refuse(found)
    return None
