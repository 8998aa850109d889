"""Whether whoever asks has AWS credentials, as boto3 finds them, and a Region.

Whether they are valid only a call shows, which is not made here. No secret is shown, of a key at
most that it is a long-term or a temporary one.
"""

from __future__ import annotations

from collections.abc import Iterator

from kms_fake.evidence import Evidence
from simulator.doctor.aws_files import FileState
from simulator.doctor.aws_settings import AwsSettings, BadSetting
from simulator.doctor.checks.imds import NoRole, instance_role
from simulator.doctor.credential_chain import Place, search
from simulator.doctor.host import Host, HostKind
from simulator.doctor.model import Check, Finding, Outcome, Role

_VENDOR = "/sys/devices/virtual/dmi/id/sys_vendor"
_GIVE = (
    "Attach a role to the instance, or run aws configure; with `attested-kms serve` any will do: "
    "export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any"
)


def _probe(host: Host) -> Iterator[Finding]:
    settings = AwsSettings.of(host)
    try:
        settings.check()
    except BadSetting as error:
        yield unusable(error)
        return
    yield from around(host, settings)
    yield from _region(settings)
    yield search(Place(host, settings)) or _of_the_instance(host, settings)


def unusable(error: BadSetting) -> Finding:
    """What a setting does that no client can be made with."""
    return Finding(
        outcome=Outcome.ERROR,
        found=f"{error}: boto3 makes no client, with whatever credentials",
        fix="Mend it, or remove it; an empty AWS_PROFILE counts as a name, so unset it",
    )


def around(host: Host, settings: AwsSettings) -> Iterator[Finding]:
    """What is wrong beside the credentials themselves."""
    environ = settings.environ
    for file in (settings.config, settings.credentials):
        if file.state is FileState.UNREADABLE:
            yield _warning(
                f"{file.path} is there and cannot be read ({file.trouble}): botocore passes it "
                "over without a word",
                "Let this user read it, or set HOME to the folder of the user who may",
            )
    if environ.get("AWS_SECRET_ACCESS_KEY") and not environ.get("AWS_ACCESS_KEY_ID"):
        yield _warning(
            "AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID: it is passed over",
            "Set both of them, or neither",
        )
    if "HOME" not in environ and FileState.READ in (
        settings.config.state,
        settings.credentials.state,
    ):
        yield _warning(
            "HOME is not set, as in a script of SSM: boto3 takes the folder of /etc/passwd, and "
            "SDKs that know HOME alone find no ~/.aws",
            "Set HOME at the beginning of the script",
            "export HOME=/root" if host.user_id == 0 else "",
        )


def _region(settings: AwsSettings) -> Iterator[Finding]:
    try:
        region = settings.region()
    except BadSetting as error:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"{error}: InvalidRegionError",
            fix="Give one such as us-east-1",
        )
        return
    if region is None:
        yield _warning(
            "AWS_REGION is set, which boto3 does not read: it says `You must specify a region.`"
            if settings.environ.get("AWS_REGION")
            else "No Region is set: boto3 says `You must specify a region.`",
            "Set AWS_DEFAULT_REGION and AWS_REGION, or region in ~/.aws/config; boto3 takes none "
            "from the instance",
        )


def _of_the_instance(host: Host, settings: AwsSettings) -> Finding:
    """The last link. Raises NetworkNotAsked."""
    try:
        if not settings.may_ask_metadata or not _is_instance(host, settings):
            return _warning(
                "There are no credentials: boto3 says `Unable to locate credentials`", _GIVE
            )
        role = instance_role(host, settings)
    except (NoRole, BadSetting) as error:
        return Finding(
            outcome=Outcome.ERROR,
            found=f"There are no credentials: none in the environment and in files, and {error}",
            fix=error.finding.fix if isinstance(error, NoRole) else _GIVE,
        )
    return Finding(
        outcome=Outcome.OK, found=f"Credentials are those of the instance's role {role.name}"
    )


def _is_instance(host: Host, settings: AwsSettings) -> bool:
    """Whether there is a metadata service to ask: on EC2, and where one is configured."""
    if settings.metadata_service().source:
        return True
    if host.kind is HostKind.SIMULATED:
        return False
    try:
        return b"Amazon EC2" in host.read(_VENDOR)
    except OSError:
        return False  # No DMI, or none that this user may read: nobody would be asked in vain.


def _warning(found: str, fix: str, command: str = "") -> Finding:
    return Finding(outcome=Outcome.WARNING, found=found, fix=fix, command=command)


CHECKS = (
    Check(
        id="credentials.found",
        title="There are AWS credentials and a Region",
        why="Calls of KMS end before they are made (`Unable to locate credentials`, `You must "
        "specify a region.`), or are refused for half of the credentials (`The security token "
        "included in the request is invalid`)",
        roles=frozenset(Role),
        probe=_probe,
        evidence=Evidence.DOCUMENTED,
        source='botocore 1.44, credentials.py; "Credentials" (Boto3 documentation); "Finding and '
        'changing the location of the shared config and credentials files" (AWS SDKs and Tools '
        'Reference Guide); "IAM identifiers" (IAM User Guide): AKIA, ASIA; the text of a missing '
        "token: aws-encryption-sdk-java, issue 9 (reported)",
        explains=("caller.inactive-key", "caller.expired"),
    ),
)
