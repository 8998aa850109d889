"""Whether KMS answers at the endpoint to which boto3 would send its calls.

An answer of any status counts, for it is asked without credentials: what KMS makes of them only a
call shows. Beyond this machine it is asked with --network only.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from simulator.doctor import web
from simulator.doctor.aws_settings import AwsSettings, BadSetting
from simulator.doctor.host import Answer, Host, Unreachable
from simulator.doctor.model import Check, Finding, Outcome, Role

_SERVE = "Start it with `attested-kms serve`, and put its kms_endpoint into AWS_ENDPOINT_URL_KMS"


class NoEndpoint(Exception):
    """It is not known where KMS is; the message is a sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where calls of KMS go."""

    url: str
    source: str
    """The setting, for readers: `by` and what it is called."""


def kms_endpoint(settings: AwsSettings) -> Endpoint:
    """Where boto3 sends its calls of KMS. Raises NoEndpoint, BadSetting."""
    configured = settings.kms_endpoint()
    if configured is not None:
        return Endpoint(configured.value, f"by {configured.source}")
    region = settings.region()
    if region is None:
        raise NoEndpoint(
            "Neither an endpoint of KMS nor a Region is set: boto3 says `You must specify a "
            "region.`"
        )
    from simulator.parent_services.kms_tls import kms_names

    try:
        name = kms_names(region.value)[0]
    except ValueError as error:
        raise BadSetting(f"{region.source}: there is no Region {region.value}") from error
    return Endpoint(f"https://{name}", f"by the Region of {region.source}")


def ask_kms(host: Host, endpoint: Endpoint) -> Answer:
    """Anything. Raises Unreachable, NetworkNotAsked."""
    return host.fetch(f"{endpoint.url.rstrip('/')}/")


class _Silence(enum.Enum):
    """Why nobody answered, as the words of Python, OpenSSL and the C library tell it."""

    CERTIFICATE = re.compile("certificate", re.IGNORECASE)
    TLS = re.compile(r"\bSSL\b|\bTLS\b|EOF occurred in violation", re.IGNORECASE)
    REFUSED = re.compile("refused", re.IGNORECASE)
    HANGS = re.compile("timed out|not answer within", re.IGNORECASE)
    NAME = re.compile(
        "Name or service not known|name resolution|nodename nor servname|No address associated|"
        "Name does not resolve",
        re.IGNORECASE,
    )
    NO_HTTP = re.compile("does not answer in HTTP", re.IGNORECASE)


def _silence(error: Unreachable) -> _Silence | None:
    return next((each for each in _Silence if each.value.search(str(error))), None)


_FIXES = {
    _Silence.TLS: "See who ends TLS there: an endpoint of plain HTTP is written http://, and a "
    "proxy in between may speak no TLS 1.2",
    _Silence.REFUSED: "Nobody listens at that port: start the service, or mend host and port of "
    "the endpoint",
    _Silence.HANGS: "Give the subnet a way to KMS: a NAT gateway, or a VPC endpoint "
    "com.amazonaws.REGION.kms whose security group lets port 443 in; or set HTTPS_PROXY",
    _Silence.NAME: "Mend the name, or the resolver in /etc/resolv.conf: in a VPC enableDnsSupport, "
    "and for a VPC endpoint private DNS",
    _Silence.NO_HTTP: "Point the endpoint at KMS: something else listens there",
}
_OTHER = "Try it with `curl -v` from this machine"


def _certificate(endpoint: Endpoint, error: Unreachable, settings: AwsSettings) -> Finding:
    """boto3 trusts AWS_CA_BUNDLE, which doctor's question does not read."""
    if settings.environ.get("AWS_CA_BUNDLE"):
        return Finding(
            outcome=Outcome.WARNING,
            found=f"The endpoint {endpoint.source}: {error}. boto3 trusts AWS_CA_BUNDLE, other "
            "programs may not",
            fix="See that the bundle holds the authority that signed it; other SDKs take it from "
            "SSL_CERT_FILE or from the system's bundle",
        )
    return Finding(
        outcome=Outcome.ERROR,
        found=f"The endpoint {endpoint.source}: {error}",
        fix="For a private authority: export AWS_CA_BUNDLE=FILE (boto3, AWS CLI), and for others "
        "put it into /etc/pki/ca-trust/source/anchors and run update-ca-trust. Where AWS itself "
        "should answer, somebody in between reads along",
    )


def _unanswered(endpoint: Endpoint, error: Unreachable, settings: AwsSettings) -> Finding:
    silence = _silence(error)
    if silence is _Silence.CERTIFICATE:
        return _certificate(endpoint, error, settings)
    fix = _OTHER if silence is None else _FIXES[silence]
    if web.is_own(endpoint.url) and silence in (_Silence.REFUSED, _Silence.HANGS):
        fix = _SERVE
    return Finding(outcome=Outcome.ERROR, found=f"The endpoint {endpoint.source}: {error}", fix=fix)


def _probe(host: Host) -> Iterator[Finding]:
    settings = AwsSettings.of(host)
    try:
        endpoint = kms_endpoint(settings)
    except NoEndpoint as error:
        yield Finding(
            outcome=Outcome.WARNING,
            found=str(error),
            fix="Set AWS_DEFAULT_REGION, or AWS_ENDPOINT_URL_KMS for `attested-kms serve`",
        )
        return
    except BadSetting as error:
        yield Finding(outcome=Outcome.ERROR, found=str(error), fix="Mend the setting, or remove it")
        return
    try:
        answer = ask_kms(host, endpoint)
    except Unreachable as error:
        yield _unanswered(endpoint, error, settings)
    else:
        yield Finding(
            outcome=Outcome.OK,
            found=f"{web.where(endpoint.url)}, the endpoint {endpoint.source}, answers "
            f"({answer.status})",
        )


CHECKS = (
    Check(
        id="kms.reachable",
        title="KMS answers at the endpoint that is configured",
        why="Each call fails before it is made: `Could not connect to the endpoint URL`, `Connect "
        "timeout on endpoint URL`, `SSL validation failed`. An enclave that reaches KMS through "
        "vsock-proxy hangs or is cut off without a word",
        roles=frozenset(Role),
        probe=_probe,
        evidence=Evidence.DOCUMENTED,
        source='"Service-specific endpoints" (AWS SDKs and Tools Reference Guide), "Create a '
        'VPC endpoint for AWS KMS" (AWS KMS Developer Guide); order of the settings: '
        "botocore 1.44, configprovider.py",
        explains=("client.tls", "client.opaque"),
    ),
)
