"""What a run's parent offers at its vsock ports: KMS, the instance metadata, anything else by TCP.

An enclave has no network: its way to all of them is CID 3. KMS is that of the joined server, or one
of the run's own, and has AWS's own names behind TLS under a private authority, which the program is
made to trust.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.interpose.places import PARENT_CID
from simulator.interpose.plan import Rung

if TYPE_CHECKING:
    from simulator.parent_services.imds import Instance

KMS_PORT = 8000
"""Where vsock-proxy stands for KMS by convention (AWS Nitro Enclaves User Guide)."""

_OVERLAID_VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE")
"""Variables that need not be set where the bundles themselves are overlaid."""
_FORWARD = re.compile(r"(?P<port>[0-9]{1,10})=(?P<host>.+):(?P<target>[0-9]{1,5})", re.ASCII)


class BadService(ValueError):
    """What was asked for cannot be offered: the message says why and what to give."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A vsock port of the parent that leads to a TCP address."""

    port: int
    host: str
    target: int

    @classmethod
    def parse(cls, text: str) -> Forward:
        """`PORT=HOST:PORT`; an IPv6 address in brackets. Raises BadService."""
        match = _FORWARD.fullmatch(text)
        if match is None or int(match["port"]) >= 0xFFFF_FFFF or int(match["target"]) > 0xFFFF:
            raise BadService(
                f"{text!r} forwards nothing; give PORT=HOST:PORT, as 8001=127.0.0.1:80."
            )
        host = match["host"].removeprefix("[").removesuffix("]")
        return cls(int(match["port"]), host, int(match["target"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What is offered. `kms_endpoint` is the plain HTTP endpoint behind port 8000."""

    kms_endpoint: str | None = None
    imds_port: int | None = None
    forwards: tuple[Forward, ...] = ()
    region: str


@dataclass(frozen=True, slots=True)
class Trust:
    """How the program is made to trust KMS's authority."""

    environment: Mapping[str, str]
    overlays: Mapping[str, str]


@contextmanager
def offered(
    services: Services,
    fabric: Path,
    instance: Instance | None,
    *,
    rung: Rung,
    environment: Mapping[str, str],
    scratch: Path,
) -> Iterator[Trust]:
    """Offer them while the context is open. `instance` is needed for the metadata service.

    `environment` is the program's so far, `scratch` a folder for bundles. Raises BadService.
    """
    from simulator.parent_services.listener import CannotListen
    from simulator.parent_services.relay import NoSuchHost, relaying
    from simulator.parent_services.streams import HalfClose
    from simulator.parent_services.trust import BadBundle

    def place(port: int) -> Path:
        return fabric / f"{PARENT_CID}_{port}.sock"

    try:
        with ExitStack() as stack:
            for forward in services.forwards:
                at = place(forward.port)
                # As vsock-proxy has it: the end of one direction is the end of both.
                ends = HalfClose.ENDS
                relay = relaying(at, forward.host, forward.target, half_close=ends)
                stack.enter_context(relay)
            if services.imds_port is not None and instance is not None:
                from simulator.parent_services.imds import serving_imds

                stack.enter_context(serving_imds(place(services.imds_port), instance))
            trust = Trust({}, {})
            if services.kms_endpoint is not None:
                from simulator.parent_services.kms_tls import kms_over_tls

                front = stack.enter_context(
                    kms_over_tls(place(KMS_PORT), services.kms_endpoint, services.region)
                )
                trust = _trusted(front.ca_pem, scratch, environment, rung)
            yield trust
    except (CannotListen, NoSuchHost, BadBundle) as error:
        raise BadService(str(error)) from error


def _trusted(ca_pem: bytes, scratch: Path, environ: Mapping[str, str], rung: Rung) -> Trust:
    from simulator.parent_services import trust

    variables = trust.environment(ca_pem, scratch, environ)
    if rung is not Rung.NAMESPACES:
        return Trust(variables, {})
    bundles = trust.merged_bundles(ca_pem, scratch, environ)
    if bundles:
        for name in _OVERLAID_VARIABLES:
            del variables[name]
    return Trust(variables, {str(original): str(copy) for original, copy in bundles.items()})
