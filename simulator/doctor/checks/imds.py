"""The instance metadata service, from which the programs of a parent get the role's credentials.

It is asked as SDKs ask it (IMDSv2), and with --network only; the credentials themselves are read as
far as their `Code` and never shown. Nothing here is asked of a simulated machine: its metadata
service is for enclaves that are run with it (docs/reference/run.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from simulator.doctor import web
from simulator.doctor.aws_settings import AwsSettings, BadSetting
from simulator.doctor.host import Answer, Host, HostKind, Unreachable
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.surroundings import is_container

_TOKEN_SECONDS = "60"  # noqa: S105  # A header's value.
_ROLES = "latest/meta-data/iam/security-credentials/"
_IDENTITY = "latest/dynamic/instance-identity/document"
_ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
"""`RoleName` of IAM's CreateRole."""
_CODE = re.compile(r"[A-Za-z]{1,64}")

_ATTACH = (
    "Attach an instance profile with a role to the instance: aws ec2 "
    "associate-iam-instance-profile --instance-id ID --iam-instance-profile Name=NAME"
)
_ENABLE = "aws ec2 modify-instance-metadata-options --instance-id ID --http-endpoint enabled"
_HOPS = (
    "Let answers travel two hops: aws ec2 modify-instance-metadata-options --instance-id ID "
    "--http-put-response-hop-limit 2 --http-endpoint enabled"
)


class NoRole(Exception):
    """The service does not tell of the instance or its role; `finding` says why, what to do."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.finding = Finding(outcome=Outcome.ERROR, found=found, fix=fix)


@dataclass(frozen=True, slots=True)
class InstanceRole:
    """Whose credentials the service gives."""

    name: str
    service: str
    """The host that was asked."""
    expires: str
    """When its credentials do, as the service says it; empty where it does not."""


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """What instance this is, by its identity document."""

    instance_id: str
    instance_type: str
    region: str
    account: str
    service: str
    """The host that was asked."""


def instance_role(host: Host, settings: AwsSettings) -> InstanceRole:
    """Ask for the role. Raises NoRole, BadSetting, NetworkNotAsked."""
    base = settings.metadata_service().value
    service = web.where(base)
    token = _token(host, base, service)
    headers = {"X-aws-ec2-metadata-token": token}
    answer = _asked(host, f"{base}/{_ROLES}", headers, service)
    name = (_text(answer).splitlines() or [""])[0].strip()
    if answer.status == 404 or (answer.status == 200 and not name):
        raise NoRole("No IAM role is attached to this instance", _ATTACH)
    if answer.status != 200 or not _ROLE_NAME.fullmatch(name):
        raise NoRole(f"{service} names no role: it answers {answer.status}", _look(service))
    answer = _asked(host, f"{base}/{_ROLES}{name}", headers, service)
    given = _members(answer)
    code = _code(answer, given)
    if code != "Success":
        raise NoRole(
            f"{service} has no credentials of the role {name}: its Code is {code}",
            "Let ec2.amazonaws.com assume the role (its trust policy), see that the role still "
            "exists, and attach it anew",
        )
    expires = given.get("Expiration") if isinstance(given, dict) else None
    return InstanceRole(name, service, expires if isinstance(expires, str) else "")


def instance_identity(host: Host, settings: AwsSettings) -> InstanceIdentity:
    """Ask which instance this is. Raises NoRole, BadSetting, NetworkNotAsked."""
    base = settings.metadata_service().value
    service = web.where(base)
    headers = {"X-aws-ec2-metadata-token": _token(host, base, service)}
    answer = _asked(host, f"{base}/{_IDENTITY}", headers, service)
    match _members(answer):
        case {
            "instanceId": str(instance_id),
            "instanceType": str(instance_type),
            "region": str(region),
            "accountId": str(account),
        }:
            return InstanceIdentity(instance_id, instance_type, region, account, service)
    raise NoRole(
        f"{service} gives no identity document of an instance: it answers {answer.status}",
        _look(service),
    )


def _token(host: Host, base: str, service: str) -> str:
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": _TOKEN_SECONDS}
    answer = _asked(host, f"{base}/latest/api/token", lifetime, service, method="PUT")
    token = _text(answer).strip()
    if answer.status == 403:
        raise NoRole(f"{service} is switched off (403)", f"Switch it on: {_ENABLE}")
    if answer.status != 200 or not token.isascii() or not token.isprintable() or not token:
        raise NoRole(f"{service} gives no IMDSv2 token: it answers {answer.status}", _look(service))
    return token


def _asked(
    host: Host, url: str, headers: dict[str, str], service: str, *, method: str = "GET"
) -> Answer:
    try:
        return host.fetch(url, headers, method=method)
    except Unreachable as error:
        if is_container(host):
            raise NoRole(
                f"{error}; this is a container, which an answer with a hop limit of 1 never "
                "reaches",
                _HOPS,
            ) from error
        raise NoRole(str(error), _look(service)) from error


def _look(service: str) -> str:
    return (
        f"See that this is an EC2 instance, and that no firewall, route or proxy keeps {service} "
        f"from it; if metadata is switched off: {_ENABLE}"
    )


def _text(answer: Answer) -> str:
    return answer.body.decode(errors="replace")


def _members(answer: Answer) -> object:
    """The JSON of an answer; None for what is none."""
    if answer.status != 200:
        return None
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _code(answer: Answer, given: object) -> str:
    """The `Code` of the credentials; never anything else of them but when they expire."""
    if answer.status != 200:
        return str(answer.status)
    if given is None:
        return "missing, for it is no JSON"
    code = given.get("Code") if isinstance(given, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "missing"


def _probe(host: Host) -> Iterator[Finding]:
    settings = AwsSettings.of(host)
    if not settings.may_ask_metadata:
        yield _skipped("AWS_EC2_METADATA_DISABLED is true: no SDK asks it")
        return
    try:
        if host.kind is HostKind.SIMULATED and not settings.metadata_service().source:
            yield _skipped("A simulated machine has none but the one that `attested-kms run` gives")
            return
        role = instance_role(host, settings)
    except NoRole as error:
        yield error.finding
    except BadSetting as error:
        yield Finding(
            outcome=Outcome.ERROR, found=str(error), fix="Remove the setting: it has a default"
        )
    else:
        yield Finding(
            outcome=Outcome.OK, found=f"{role.service} gives credentials of the role {role.name}"
        )


def _skipped(found: str) -> Finding:
    return Finding(outcome=Outcome.SKIPPED, found=found)


CHECKS = (
    Check(
        id="imds.reachable",
        title="The instance metadata service gives a role's credentials",
        why="Without them SDKs say `Unable to locate credentials`, or hang until they give up. "
        "The host program that calls KMS, and whatever the enclave is handed, live on them",
        roles=frozenset({Role.PARENT}),
        probe=_probe,
        evidence=Evidence.DOCUMENTED,
        source='"Use the Instance Metadata Service to access instance metadata", "Configure the '
        'Instance Metadata Service options", "Retrieve security credentials from instance '
        'metadata" (Amazon EC2 User Guide); that no role is a 404: inferred',
        explains=(),
    ),
)
