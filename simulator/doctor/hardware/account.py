"""Preflight: Region, credentials, who they are of, and the clock that signs.

No secret is shown or kept: of credentials only where they are, and when they expire.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import partial

from kms_fake.evidence import Evidence
from simulator.doctor.aws_settings import AwsSettings, BadSetting
from simulator.doctor.checks import clock
from simulator.doctor.checks.credentials import around, unusable
from simulator.doctor.checks.imds import InstanceRole, NoRole, instance_role
from simulator.doctor.credential_chain import Place, search
from simulator.doctor.hardware.questions import (
    NO_METADATA,
    NotAnInstance,
    Refused,
    identity,
    instance,
    region_of,
)
from simulator.doctor.host import Host, HostKind, NetworkNotAsked, NotCalled, Unreachable
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.parent import short

_Check = partial(Check, roles=frozenset({Role.PARENT}), option="--hardware")
_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_SHORTEST_SECONDS = 900
"""What a run takes, with some to spare."""
_ATTACH = "Attach an instance profile with the run's role: aws ec2 associate-iam-instance-profile"
_CREDENTIALS = {
    "ExpiredToken": "Fetch new ones, or unset them, so that those of the instance's role are found",
    "ExpiredTokenException": "Fetch new ones, or unset them, so that the role's are found",
    "InvalidClientTokenId": "See that they belong to this account and were not deleted, and that a "
    "session token is set with temporary ones",
    "UnrecognizedClientException": "See that they were not deleted, and that a session token is "
    "set with temporary ones",
    "SignatureDoesNotMatch": "Mend the secret access key; or the clock, if that is wrong",
    "RequestExpired": "Mend the clock",
}
"""What to do about a refusal by its code."""


def _region(host: Host) -> Iterator[Finding]:
    try:
        named = AwsSettings.of(host).region()
    except BadSetting as error:
        yield Finding(outcome=Outcome.ERROR, found=str(error), fix="Give one such as us-east-1")
        return
    own = _own_region(host)
    told = {name: host.environ[name] for name in _VARIABLES if host.environ.get(name)}
    if named is not None:
        told.setdefault(named.source, named.value)
    regions = {*told.values(), *([own] if own else [])}
    where = ", ".join(f"{name} is {short(value)}" for name, value in told.items())
    export = f"export AWS_REGION={own} AWS_DEFAULT_REGION={own}" if own else ""
    if len(regions) > 1:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"Regions differ: {where}{f', and the instance is in {own}' if own else ''}",
            fix="Set both variables to the instance's Region",
            command=export,
        )
    elif named is None:
        only = f"{where}, which boto3 does not read" if where else "No Region is set"
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"{only}: boto3 says `You must specify a region.`",
            fix="Set AWS_REGION and AWS_DEFAULT_REGION; boto3 takes none from the instance",
            command=export,
        )
    elif own:
        yield Finding(outcome=Outcome.OK, found=f"{where}, and the instance is there")
    else:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"{where}; whether the instance is there is not known",
            fix="See hardware.instance-type: the instance does not tell",
        )


def _own_region(host: Host) -> str:
    try:
        return short(instance(host).region)
    except NotAnInstance:
        return ""


def _credentials(host: Host) -> Iterator[Finding]:
    settings = AwsSettings.of(host)
    try:
        settings.check()
    except BadSetting as error:
        yield unusable(error)
        return
    yield from around(host, settings)
    elsewhere = search(Place(host, settings))
    if elsewhere is None:
        yield _of_the_instance(host, settings)
    elif elsewhere.outcome is Outcome.OK:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"{elsewhere.found}: they win over those of the instance's role",
            fix="Remove them, so that those of the role are found, which are renewed: unset "
            "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE, or move "
            "~/.aws away. A run with them is as good while they hold",
        )
    else:
        yield elsewhere


def _of_the_instance(host: Host, settings: AwsSettings) -> Finding:
    """Raises NetworkNotAsked."""
    none = "There are no credentials: none in the environment and in files, and"
    try:
        if not settings.may_ask_metadata:
            return Finding(
                outcome=Outcome.ERROR,
                found=f"{none} AWS_EC2_METADATA_DISABLED is true",
                fix="unset AWS_EC2_METADATA_DISABLED",
            )
        if host.kind is HostKind.SIMULATED and not settings.metadata_service().source:
            return Finding(outcome=Outcome.ERROR, found=f"{none} {NO_METADATA}", fix=_ATTACH)
        role = instance_role(host, settings)
    except NoRole as error:
        return Finding(
            outcome=Outcome.ERROR, found=f"{none} {error}", fix=error.finding.fix or _ATTACH
        )
    except BadSetting as error:
        return Finding(outcome=Outcome.ERROR, found=f"{none} {error}", fix="Remove the setting")
    return _lasting(host, role)


def _lasting(host: Host, role: InstanceRole) -> Finding:
    try:
        end = dt.datetime.fromisoformat(role.expires)
    except ValueError:
        return Finding(
            outcome=Outcome.WARNING,
            found=f"{role.service} does not tell when the credentials of {role.name} expire",
            fix="Look at their Expiration",
        )
    left = (end if end.tzinfo else end.replace(tzinfo=dt.UTC)).timestamp() - host.now()
    if left <= 0:
        return Finding(
            outcome=Outcome.ERROR,
            found=f"The credentials of the role {role.name} have expired ({short(role.expires)})",
            fix="See the clock; if that is right, attach the role anew: EC2 renews them long "
            "before their end",
        )
    if left < _SHORTEST_SECONDS:
        return Finding(
            outcome=Outcome.WARNING,
            found=f"The credentials of the role {role.name} expire at {short(role.expires)}",
            fix="Wait for new ones: EC2 has them at least five minutes before",
        )
    return Finding(
        outcome=Outcome.OK,
        found=f"Credentials are those of the instance's role {role.name}, until "
        f"{short(role.expires)}",
    )


def _identity(host: Host) -> Iterator[Finding]:
    try:
        who = identity(host)
    except Refused as error:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"STS refuses the credentials: {short(str(error))}",
            fix=_CREDENTIALS.get(
                error.code, "See what it says: a policy of the organization may deny it"
            ),
        )
    except NotCalled as error:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"STS is not asked: {short(str(error))}",
            fix="See hardware.credentials and hardware.region",
        )
    except Unreachable as error:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"STS does not answer: {error}",
            fix="Give the subnet a way to STS: a NAT gateway, or a VPC endpoint "
            "com.amazonaws.REGION.sts whose security group lets port 443 in; or set HTTPS_PROXY",
        )
    else:
        yield Finding(outcome=Outcome.OK, found=f"STS answers: {short(who.arn)}")


def _clock(host: Host) -> Iterator[Finding]:
    yield from clock.findings(host, _beside_sts)


def _beside_sts(host: Host) -> clock.Compared:
    """KMS where STS tells none. Raises NotCompared."""
    try:
        answer = host.ask_aws("sts", "GetCallerIdentity", {}, region=region_of(host))
        return clock.compared("STS", answer.headers.get("date"), answer.before, answer.after)
    except (clock.NotCompared, NetworkNotAsked, NotCalled, Unreachable):
        return clock.with_kms(host)


CHECKS = (
    _Check(
        id="hardware.region",
        title="AWS_REGION, AWS_DEFAULT_REGION and the instance agree",
        why="boto3 reads AWS_DEFAULT_REGION alone, most other SDKs AWS_REGION: keys are made in "
        "one Region and asked for in another, which says NotFoundException",
        probe=_region,
        evidence=Evidence.DOCUMENTED,
        source='"AWS Region" (AWS SDKs and Tools Reference Guide); botocore 1.44, session.py',
    ),
    _Check(
        id="hardware.credentials",
        title="Credentials are those of the instance's role, and hold",
        why="A run lasts minutes, makes keys, and disables them at its end: credentials that "
        "expire in its midst leave them enabled. The role's are renewed, by IMDSv2",
        probe=_credentials,
        evidence=Evidence.DOCUMENTED,
        source='"Retrieve security credentials from instance metadata" (Amazon EC2 User Guide); '
        "botocore 1.44, credentials.py",
        explains=("caller.expired",),
        replaces=("credentials.found",),
    ),
    _Check(
        id="hardware.clock",
        title="The clock agrees with AWS's",
        why="AWS refuses what was signed more than five minutes ago or ahead "
        "(InvalidSignatureException, RequestExpired, SignatureDoesNotMatch), and KMS a document "
        "that is older than five minutes: what is seen of that is judged by this clock",
        probe=_clock,
        evidence=Evidence.DOCUMENTED,
        source='"AWS Signature Version 4 for API requests" (IAM User Guide): within five minutes; '
        "the age of documents: reported by implementers",
        explains=("caller.clock", "document.age"),
        replaces=("clock.skew",),
    ),
    _Check(
        id="hardware.identity",
        title="STS knows whose credentials they are",
        why="The key policies of a run name this caller, and IAM is asked about it. "
        "GetCallerIdentity needs no permission: what it refuses, everything refuses",
        probe=_identity,
        evidence=Evidence.DOCUMENTED,
        source='"GetCallerIdentity" (AWS STS API Reference): no permissions are required',
        explains=("caller.inactive-key", "caller.expired", "caller.clock"),
    ),
)
"""In the order in which to mend."""
