"""Explanations: Run Command of Systems Manager, its refusals, and how a script seems to end.

Those with the id of a row of `simulator.systems_manager.rules` claim what the row claims of the
exception's type, and a test compares them.
"""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations.model import Cause, Claim, Explanation

_MODEL = "service model of Systems Manager (botocore, ssm/2014-11-06)"
_DOCUMENTED = Claim(Evidence.DOCUMENTED, _MODEL)
_UNKNOWN = Claim(Evidence.UNKNOWN, "nothing is published of it")
_LIMIT = Claim(Evidence.UNKNOWN, "a limit of this fake, not of Systems Manager")
_PROTOCOL = Claim(Evidence.INFERRED, "json 1.1 protocol of AWS services")
_AGENT = Claim(Evidence.INFERRED, "amazon-ssm-agent, its sources of October 2024")

EXPLANATIONS = (
    Explanation(
        id="ssm.instance",
        error="InvalidInstanceId: Instances [[i-...]] not in a valid state for account ...",
        texts=("Instances [[{}]] not in a valid state for account", "InvalidInstanceId"),
        meaning="Systems Manager does not manage that instance, or does not yet.",
        fix="Give the instance a role with AmazonSSMManagedInstanceCore, see that its agent runs "
        "and reaches the service, and wait until DescribeInstanceInformation lists it as Online.",
        causes=(
            Cause("The instance has just started", "it is listed a minute or two later"),
            Cause("No instance profile, or one without the policy", "its agent's log says so"),
            Cause("Another Region or account than the client's", "the account in the message"),
            Cause("The agent has no way to the service", "no NAT, no endpoint for ssm"),
        ),
        claim=Claim(Evidence.REPORTED, "gravitational/teleport issue 24176"),
    ),
    Explanation(
        id="ssm.size",
        error="MaxDocumentSizeExceeded",
        texts=("MaxDocumentSizeExceeded",),
        meaning="The document with the parameters of the command has more than 64 KB.",
        fix="Send the script in parts, each with a command of its own, as attested-kms ssm run "
        "does, or fetch it on the instance from S3.",
        field_note="5",
        correction="The notes blame a limit for a script that seemed to end in its middle. Theirs "
        "had 10.9 KB, which is allowed; too long a script is refused, and never cut.",
        claim=_DOCUMENTED,
    ),
    Explanation(
        id="ssm.output-truncated",
        error="---Output truncated---",
        texts=("---Output truncated---", "---Error truncated----", "--output truncated--"),
        meaning="The output is cut where it is shown; the script went on. ListCommandInvocations "
        "shows 2,500 bytes of both streams together, GetCommandInvocation 24,000 of standard "
        "output, the marks included, and 8,000 characters of standard error.",
        fix="Let the script write its output into a file and fetch that in pieces, as "
        "attested-kms ssm run does, or give OutputS3BucketName. Whether it ended well is in Status "
        "and ResponseCode, not in the last line shown.",
        field_note="5",
        correction="So a script seems to stop in its middle, and the notes took it for one that "
        "had arrived in part.",
        claim=_AGENT,
    ),
    Explanation(
        id="ssm.exit-status",
        error="failed to run commands: exit status 1",
        texts=("failed to run commands: exit status {}",),
        meaning="The script ended with that exit code. The line is the agent's, and stands at the "
        "end of standard error, where it is lost if that is long.",
        fix="Look at what the script wrote before it. The exit code is ResponseCode as well.",
        causes=(
            Cause("127: a command is not found", "PATH is that of a service, and HOME is not set"),
            Cause("124: timeout(1) ended a command"),
            Cause("1 and `unbound variable`: set -u, and the script uses HOME"),
        ),
        claim=_AGENT,
    ),
    Explanation(
        id="ssm.no-shell",
        error="failed to run commands: fork/exec /usr/bin/sh: no such file or directory",
        texts=("failed to run commands: fork/exec {}sh:",),
        meaning="The working directory is not there, though the message names the shell.",
        fix="Make the folder first, or leave workingDirectory out and change to it in the script.",
        claim=_AGENT,
    ),
    Explanation(
        id="ssm.execution-timed-out",
        error="StatusDetails: ExecutionTimedOut",
        texts=("ExecutionTimedOut", "Execution Timed Out"),
        meaning="The script was killed after executionTimeout, an hour unless it is given, or "
        "ended by itself with exit code 137, which the agent takes for the same.",
        fix="Give the parameter executionTimeout, from 5 to 172800 seconds: what is less the agent "
        "takes for an hour. Redirect the output of what is to stay in the background; while it "
        "holds the script's own the command does not end.",
        claim=_AGENT,
    ),
    Explanation(
        id="ssm.delivery-timed-out",
        error="StatusDetails: DeliveryTimedOut",
        texts=("DeliveryTimedOut", "Delivery Timed Out"),
        meaning="The agent did not take the command within TimeoutSeconds, and it will not run.",
        fix="See that the agent runs (PingStatus of DescribeInstanceInformation), and send it "
        "again.",
        claim=_DOCUMENTED,
    ),
    Explanation(
        id="ssm.invocation",
        error="InvocationDoesNotExist",
        texts=("InvocationDoesNotExist",),
        meaning="There is no such command on that instance, or it is not to be seen yet: right "
        "after SendCommand this is usual. Waiters of older SDKs give up on it.",
        fix="Ask again for some seconds after SendCommand before taking it for an error.",
        claim=Claim(Evidence.REPORTED, "guardian/ssm-scala pull request 34; aws/aws-sdk issue 86"),
    ),
    Explanation(
        id="ssm.parameters",
        error="InvalidParameters",
        texts=("InvalidParameters",),
        meaning="The parameters are not those of the document.",
        fix="AWS-RunShellScript has commands (a list, at least one), workingDirectory and "
        "executionTimeout. Each is a list of strings, also one that has a single value.",
        claim=_DOCUMENTED,
    ),
    Explanation(
        id="ssm.parameter-reference",
        error="The script refers to a parameter with {{ssm:NAME}}",
        meaning="{{ssm:NAME}} in a script is replaced by a parameter of Parameter Store, and "
        "there is none of that name, or it is a SecureString.",
        fix="Put the parameter first, or write the braces apart in the script.",
        claim=_UNKNOWN,
    ),
    Explanation(
        id="ssm.document",
        error="InvalidDocument",
        texts=("InvalidDocument",),
        meaning="There is no such document for this account.",
        fix="Use AWS-RunShellScript, which is the only one of the simulated service.",
        claim=_DOCUMENTED,
    ),
    Explanation(
        id="ssm.document-version",
        error="InvalidDocumentVersion",
        texts=("InvalidDocumentVersion",),
        meaning="The document has no such version.",
        fix="Leave DocumentVersion out.",
        claim=_DOCUMENTED,
    ),
    Explanation(
        id="ssm.duplicate-instance",
        error="DuplicateInstanceId",
        texts=("DuplicateInstanceId",),
        meaning="An instance is named twice.",
        fix="Name each instance once.",
        claim=_DOCUMENTED,
    ),
    Explanation(
        id="ssm.no-target",
        error="The request names no instance",
        meaning="SendCommand has neither InstanceIds nor Targets.",
        fix="Give InstanceIds.",
        claim=_UNKNOWN,
    ),
    Explanation(
        id="ssm.command-id",
        error="InvalidCommandId",
        texts=("InvalidCommandId",),
        meaning="There is no command of that id.",
        fix="Use the CommandId of SendCommand's answer, in the same Region.",
        claim=_DOCUMENTED,
    ),
    Explanation(
        id="ssm.cancel-instance",
        error="The command was not sent to that instance",
        meaning="CancelCommand names an instance that the command was not sent to.",
        fix="Leave InstanceIds out: the command is cancelled wherever it was sent.",
        claim=_DOCUMENTED,
    ),
    Explanation(
        id="ssm.plugin-name",
        error="InvalidPluginName",
        texts=("InvalidPluginName",),
        meaning="The document has no step of that name.",
        fix="Leave PluginName out: AWS-RunShellScript has one step.",
        claim=_DOCUMENTED,
    ),
    Explanation(
        id="ssm.filter-key",
        error="InvalidFilterKey",
        texts=("InvalidFilterKey",),
        meaning="The operation has no filter of that key.",
        fix="ExecutionStage is one of ListCommands alone; the others are in the API Reference.",
        claim=_DOCUMENTED,
    ),
    Explanation(
        id="ssm.filter-value",
        error="InvokedAfter or InvokedBefore is not a time",
        meaning="The filter's value is not a time as 2026-01-27T00:00:00Z.",
        fix="Write it so.",
        claim=_UNKNOWN,
    ),
    Explanation(
        id="ssm.next-token",
        error="InvalidNextToken",
        texts=("InvalidNextToken",),
        meaning="The token is none that the list gave.",
        fix="Begin without NextToken.",
        claim=_DOCUMENTED,
    ),
    Explanation(
        id="ssm.filter",
        error="The filter is not simulated",
        meaning="Real Systems Manager filters by it; the simulated one knows no tags.",
        fix="Filter by InstanceIds.",
        claim=_LIMIT,
    ),
    Explanation(
        id="ssm.not-simulated",
        error="A member of SendCommand is not simulated",
        meaning="Real Systems Manager does it: S3 and CloudWatch for output, alarms, "
        "notifications, tags as targets, more than one instance.",
        fix="Leave it out where the script is tested.",
        claim=_LIMIT,
    ),
    Explanation(
        id="ssm.constraint",
        error="1 validation error detected: Value 'i-...' at 'instanceId' failed to satisfy "
        "constraint",
        texts=(r"Member must satisfy regular expression pattern: (^i-(\w{8}|\w{17})$)",),
        meaning="A member of the request is not what the service's model allows.",
        fix="An instance id is i- and 8 or 17 letters or digits.",
        claim=Claim(Evidence.REPORTED, "aws/aws-cli issue 7048"),
    ),
    Explanation(
        id="ssm.access-key",
        error="UnrecognizedClientException from Systems Manager",
        meaning="The simulated service answers only to the access key that it printed when it "
        "began, for it runs shell commands.",
        fix="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to those of its line.",
        claim=Claim(Evidence.REPORTED, "aws-samples/cloud9-to-power-vscode-blog issue 7"),
    ),
    Explanation(
        id="ssm.authentication",
        error="MissingAuthenticationTokenException from Systems Manager",
        meaning="The request is not signed for Systems Manager with Signature Version 4.",
        fix="Use an SDK, with the access key that attested-kms ssm serve printed.",
        claim=_PROTOCOL,
    ),
    Explanation(
        id="ssm.operation",
        error="UnknownOperationException from Systems Manager",
        meaning="There is no such operation, or moto does not answer it.",
        fix="Run Command is simulated; what moto has of the other operations answers too.",
        claim=_PROTOCOL,
    ),
    Explanation(
        id="ssm.request",
        error="SerializationException from Systems Manager: the body does not read",
        meaning="The request's body is not UTF-8, not whole, or longer than 2 MiB.",
        fix="Send it with an SDK.",
        claim=_PROTOCOL,
    ),
    Explanation(
        id="ssm.object",
        error="SerializationException from Systems Manager: not a JSON object",
        meaning="The request's body is not a JSON object.",
        fix="Send it with an SDK.",
        claim=_PROTOCOL,
    ),
    Explanation(
        id="ssm.member-type",
        error="SerializationException from Systems Manager: a member's type",
        meaning="A member has another type than the service's model gives it.",
        fix='Parameters is a map of lists: {"commands": ["true"]}, also for a single value.',
        claim=_PROTOCOL,
    ),
    Explanation(
        id="ssm.moto",
        error="InternalServerError from Systems Manager: moto could not answer",
        meaning="moto, which answers all but Run Command, did not foresee the request.",
        fix="Look at the request; moto's own error is in the message.",
        claim=_LIMIT,
    ),
)  # fmt: skip
