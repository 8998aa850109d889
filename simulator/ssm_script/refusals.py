"""The errors of boto3 and of Systems Manager, as sentences with cause and fix.

The codes are those of the API's models (documented) and of AWS's front for every service; the
causes are those that the API reference names, and those in issues of the AWS CLI (reported).
"""

from __future__ import annotations

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError

from simulator.ssm_script.errors import Ended, RunFailed

BUSY = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Errors that go away by waiting."""

NOT_YET = "InvocationDoesNotExist"

UNREACHED = (
    exceptions.ConnectionClosedError,
    exceptions.ConnectTimeoutError,
    exceptions.EndpointConnectionError,
    exceptions.ReadTimeoutError,
)
"""The network, not the service."""

_CREDENTIALS = (
    exceptions.CredentialRetrievalError,
    exceptions.NoAuthTokenError,
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)

_MANAGED = (
    "Systems Manager knows no running instance {instance} in region {region}. Look that the region "
    "and the account are the instance's, that it runs, that its role has the policy "
    "AmazonSSMManagedInstanceCore, and that amazon-ssm-agent runs there and reaches the service: "
    "aws ssm describe-instance-information lists the instances that it knows."
)
_ALLOWED = (
    "AWS does not allow it: {message}. The caller needs ssm:SendCommand on the document "
    "AWS-RunShellScript and on the instance (arn:aws:ec2:...), ssm:GetCommandInvocation and "
    "ssm:CancelCommand."
)
_SIGNED = (
    "AWS does not accept the credentials: {message}. Look which ones are used (aws sts "
    "get-caller-identity), and whether AWS_ENDPOINT_URL_SSM is meant for them."
)
_EXPIRED = "The credentials have expired: {message}. Sign in again, or renew the session token."
_CLOCK = "AWS does not accept the signature: {message}. Usually this machine's clock is wrong."
_BUSY = "Systems Manager stayed busy: {message}. Try again later, with fewer calls at a time."
_DOCUMENT = "Systems Manager has no document AWS-RunShellScript in region {region}: {message}."
_TOO_LONG = (
    "A command was too long for Systems Manager although it was kept below 64 KB: {message}. "
    "Please report this with the output of --dry-run."
)
_WINDOWS = (
    "{instance} cannot run shell scripts ({message}): AWS-RunShellScript is for Linux and macOS, "
    "and this is probably a Windows instance."
)

_SENTENCES = {
    "AccessDenied": _ALLOWED,
    "AccessDeniedException": _ALLOWED,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidClientTokenId": _SIGNED,
    "InvalidDocument": _DOCUMENT,
    "InvalidSignatureException": _CLOCK,
    "MaxDocumentSizeExceeded": _TOO_LONG,
    "RequestExpired": _CLOCK,
    "SignatureDoesNotMatch": _CLOCK,
    "UnrecognizedClientException": _SIGNED,
}
_ENDS = {
    "InvalidInstanceId": (Ended.UNREACHABLE, _MANAGED),
    "UnsupportedPlatformType": (Ended.UNREACHABLE, _WINDOWS),
}


def code_of(error: Exception) -> str:
    """The service's name for an error; empty for what is no answer of the service."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def failed(error: Exception, *, instance: str, region: str) -> RunFailed:
    """The end of a run by an error of boto3 or of the service."""
    if not isinstance(error, ClientError):
        return RunFailed(Ended.REFUSED, _of_boto3(error, region))
    code = code_of(error)
    # The text of some errors is empty, and that of others ends with a full stop or does not.
    message = str(error.response["Error"].get("Message") or code).strip().rstrip(".")
    default = _BUSY if code in BUSY else f"Systems Manager answered {code}: {{message}}."
    ended, sentence = _ENDS.get(code, (Ended.REFUSED, _SENTENCES.get(code, default)))
    return RunFailed(ended, sentence.format(message=message, instance=instance, region=region))


def _of_boto3(error: Exception, region: str) -> str:
    if isinstance(error, _CREDENTIALS):
        return (
            f"There are no usable AWS credentials ({_text(error)}). Sign in (aws sso login, aws "
            "configure), choose --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if isinstance(error, exceptions.ProfileNotFound):
        return f"{_text(error)}. aws configure list-profiles lists them."
    if isinstance(error, exceptions.NoRegionError):
        return "No region is chosen: give --region, or set AWS_REGION or AWS_DEFAULT_REGION."
    if isinstance(error, UNREACHED):
        return (
            f"Systems Manager in {region} cannot be reached ({_text(error)}). Look at the network, "
            "the region's name and AWS_ENDPOINT_URL_SSM."
        )
    return f"{_text(error)}."


def _text(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


BOTO3 = (BotoCoreError, ClientError)
"""What boto3 raises of its own."""
