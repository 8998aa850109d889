"""Every reason for which this Systems Manager refuses a request, in the order of its checks.

One row is one refusal, as in `kms_fake.rules`: how sure its exception type, its text and its place
are is stated apart. Where the real text is unknown the message is ours and says so at its end, so
that nobody writes code against it; a row that is a limit of this fake says that instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from moto.core import DEFAULT_ACCOUNT_ID

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

ACCOUNT = DEFAULT_ACCOUNT_ID
_MODEL = "service model of Systems Manager (botocore, ssm/2014-11-06)"


@dataclass(frozen=True, slots=True)
class Row:
    """One reason to refuse."""

    id: str
    exception: str
    """The AWS exception type."""
    text: str | None
    """The message; `{}` stands for what was found; None where the real text is unknown."""
    type_evidence: Evidence
    text_evidence: Evidence
    order_evidence: Evidence
    """How sure it is that this row comes after the one before it."""
    source: str
    http_status: int = 400

    def refuse(self, found: str) -> SsmRefusal:
        """The error that a client gets for what was found."""
        if self.text is not None:
            message = self.text.replace("{}", found)
        elif self.source == LIMIT:
            message = f"{found} [attested-kms: not simulated, {self.id}]"
        else:
            message = our_text(found, self.id)
        return SsmRefusal(self.exception, message, self.http_status, self.id)


@dataclass(frozen=True, slots=True)
class Rule:
    """A row that looks at a request to an operation of this service."""

    row: Row
    refuses: Callable[[Request], str | None]
    """What it found wrong, in words for the user or as the text's `{}`; None to let pass."""
    operations: frozenset[str] = ALL


REQUEST = Row(
    "ssm.request", "SerializationException", None, _INFERRED, _UNKNOWN, _INFERRED,
    "json 1.1 protocol of AWS services",
)  # fmt: skip
NO_CREDENTIALS = Row(
    "ssm.authentication", "MissingAuthenticationTokenException", "Missing Authentication Token",
    _INFERRED, _INFERRED, _INFERRED, "Common Errors of AWS services",
)  # fmt: skip
ACCESS_KEY = Row(
    "ssm.access-key", "UnrecognizedClientException",
    "The security token included in the request is invalid.", _REPORTED, _REPORTED, _INFERRED,
    "aws-samples/cloud9-to-power-vscode-blog issue 7; coveooss/spring-boot-parameter-store-"
    "integration issue 3",
)  # fmt: skip
OPERATION = Row(
    "ssm.operation", "UnknownOperationException", None, _INFERRED, _UNKNOWN, _INFERRED,
    "json 1.1 protocol of AWS services",
)  # fmt: skip
MOTO = Row(
    "ssm.moto", "InternalServerError", None, _UNKNOWN, _UNKNOWN, _UNKNOWN, LIMIT, http_status=500
)
FRONT = (NO_CREDENTIALS, ACCESS_KEY, REQUEST, OPERATION, MOTO)
"""What is refused before any operation is asked, in this order."""

RULES: tuple[Rule, ...] = (
    Rule(
        Row(
            "ssm.object", "SerializationException", None, _INFERRED, _UNKNOWN, _INFERRED,
            "json 1.1 protocol of AWS services",
        ),
        checks.not_an_object,
    ),
    Rule(
        Row(
            "ssm.member-type", "SerializationException", None, _INFERRED, _UNKNOWN, _INFERRED,
            f"json 1.1 protocol; {_MODEL}",
        ),
        checks.wrong_type,
    ),
    Rule(
        Row(
            "ssm.constraint", "ValidationException", "{}", _REPORTED, _REPORTED, _INFERRED,
            "aws/aws-cli issue 7048 (a pattern; the others have the form that KMS gives them)",
        ),
        checks.violations,
    ),
    Rule(
        Row(
            "ssm.no-target", "ValidationException", None, _UNKNOWN, _UNKNOWN, _UNKNOWN,
            f"{_MODEL}: Targets is required without InstanceIds",
        ),
        checks.no_target, SEND,
    ),
    Rule(
        Row(
            "ssm.duplicate-instance", "DuplicateInstanceId", "", _DOCUMENTED, _INFERRED, _UNKNOWN,
            f"{_MODEL}: the type has no message",
        ),
        checks.duplicate_instance, SEND | CANCEL,
    ),
    Rule(
        Row(
            "ssm.document", "InvalidDocument", None, _DOCUMENTED, _UNKNOWN, _UNKNOWN,
            f"{_MODEL}: the document does not exist",
        ),
        checks.other_document, SEND,
    ),
    Rule(
        Row(
            "ssm.document-version", "InvalidDocumentVersion", None, _DOCUMENTED, _UNKNOWN, _UNKNOWN,
            _MODEL,
        ),
        checks.other_version, SEND,
    ),
    Rule(
        Row(
            "ssm.parameters", "InvalidParameters", None, _DOCUMENTED, _UNKNOWN, _UNKNOWN,
            f"{_MODEL}: all required parameters, and none that the document does not define",
        ),
        checks.bad_parameters, SEND,
    ),
    Rule(
        Row(
            "ssm.parameter-reference", "InvalidParameters", None, _UNKNOWN, _UNKNOWN, _UNKNOWN,
            "amazon-ssm-agent, parameterstore.go: the agent fails such a document; whether the "
            "service refuses it first is not known",
        ),
        checks.unknown_reference, SEND,
    ),
    Rule(
        Row(
            "ssm.size", "MaxDocumentSizeExceeded", None, _DOCUMENTED, _UNKNOWN, _UNKNOWN,
            f"{_MODEL}: 64 KB, parameters given at runtime included (CreateDocument, Content). "
            "What is counted is not known; here it is the bytes of the document and the values",
        ),
        checks.too_large, SEND,
    ),
    Rule(
        Row(
            "ssm.instance", "InvalidInstanceId",
            f"Instances [[{{}}]] not in a valid state for account {ACCOUNT}",
            _REPORTED, _REPORTED, _UNKNOWN,
            "gravitational/teleport issue 24176; aws-samples/eks-security-compromised-cluster-"
            "remediation issue 12",
        ),
        checks.unmanaged_instance, SEND,
    ),
    Rule(
        Row(
            "ssm.not-simulated", "UnsupportedOperationException",
            None, _UNKNOWN, _UNKNOWN, _UNKNOWN,
            LIMIT,
        ),
        checks.not_simulated, SEND,
    ),
    Rule(
        Row(
            "ssm.command-id", "InvalidCommandId", "", _DOCUMENTED, _INFERRED, _UNKNOWN,
            f"{_MODEL}: the type has no message",
        ),
        checks.unknown_command, CANCEL,
    ),
    Rule(
        Row(
            "ssm.cancel-instance", "InvalidInstanceId", None, _DOCUMENTED, _UNKNOWN, _UNKNOWN,
            _MODEL,
        ),
        checks.not_of_command, CANCEL,
    ),
    Rule(
        Row(
            "ssm.invocation", "InvocationDoesNotExist", "", _REPORTED, _REPORTED, _UNKNOWN,
            "guardian/ssm-scala pull request 34: no message; aws/aws-sdk issue 86: right after "
            "SendCommand too. That an unknown command is refused so follows",
        ),
        checks.no_invocation, GET,
    ),
    Rule(
        Row(
            "ssm.plugin-name", "InvalidPluginName", "", _DOCUMENTED, _INFERRED, _UNKNOWN,
            f"{_MODEL}: the type has no message",
        ),
        checks.other_plugin, GET,
    ),
    Rule(
        Row(
            "ssm.filter-key", "InvalidFilterKey", "", _DOCUMENTED, _INFERRED, _UNKNOWN,
            f"{_MODEL}: the type has no message",
        ),
        checks.wrong_filter_key, PAGED,
    ),
    Rule(
        Row(
            "ssm.filter", "UnsupportedOperationException", None, _UNKNOWN, _UNKNOWN, _UNKNOWN,
            LIMIT,
        ),
        checks.other_filter, PAGED,
    ),
    Rule(
        Row(
            "ssm.filter-value", "ValidationException", None, _UNKNOWN, _UNKNOWN, _UNKNOWN,
            f"{_MODEL}: a timestamp",
        ),
        checks.bad_filter_value, LISTS,
    ),
    Rule(
        Row(
            "ssm.next-token", "InvalidNextToken", None, _DOCUMENTED, _UNKNOWN, _UNKNOWN,
            _MODEL,
        ),
        checks.bad_token, PAGED,
    ),
)  # fmt: skip


def refusal(request: Request) -> SsmRefusal | None:
    """The first rule's that refuses the request; None if nothing is wrong with it."""
    for rule in RULES:
        if request.operation in rule.operations:
            found = rule.refuses(request)
            if found is not None:
                return rule.row.refuse(found)
    return None
