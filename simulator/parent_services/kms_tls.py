"""KMS at a vsock port of the parent, as an enclave finds it at the far end of a `vsock-proxy`.

The enclave speaks TLS to kms.REGION.amazonaws.com through the proxy (reported:
aws-nitro-enclaves-sdk-c, bin/kmstool-enclave-cli, and the service of aws-nitro-enclaves-cli 1.5.0,
`vsock-proxy 8000 kms.REGION.amazonaws.com 443`). Here TLS ends, under a certificate for KMS's names
that a private authority signs, and the HTTP inside goes unread to a plain HTTP endpoint, such as
that of `attested-kms serve`.

TLS 1.2 and 1.3, ALPN `http/1.1` of whatever a client offers; which of them real KMS prefers is
inferred from its clients. A client that asks for another name gets the same certificate, as from a
server with one name: to refuse is the client's part (inferred).
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from botocore.loaders import create_loader
from moto.utilities.utils import get_partition

from kms_fake.given_keys import is_region
from simulator.parent_services.listener import Stop, listening
from simulator.parent_services.private_ca import PrivateCa
from simulator.parent_services.relay import reached
from simulator.parent_services.streams import End, HalfClose, Stopped, join, negotiate

_log = logging.getLogger(__name__)
_READ = 64 * 1024


@dataclass(frozen=True, slots=True)
class KmsFront:
    """KMS behind TLS, while it is served."""

    names: tuple[str, ...]
    """Those of its certificate."""
    ca_pem: bytes
    """The authority that a client must trust: one certificate in PEM."""


def kms_names(region: str) -> tuple[str, ...]:
    """KMS's host names in a Region, with those for FIPS and for IPv6 (api.aws).

    Source: "AWS Key Management Service endpoints and quotas" (AWS General Reference, documented);
    the domains of a partition are botocore's (partitions.json). Raises ValueError for no Region.
    """
    if not is_region(region):
        raise ValueError(f"There is no Region {region}; give one such as us-east-1.")
    partition = get_partition(region)
    known = create_loader().load_data("partitions")["partitions"]
    domains = next(entry["outputs"] for entry in known if entry["id"] == partition)
    return tuple(
        f"{service}.{region}.{domains[domain]}"
        for domain in ("dnsSuffix", "dualStackDnsSuffix")
        for service in ("kms", "kms-fips")
    )


@contextmanager
def kms_over_tls(
    path: Path, endpoint: str, region: str, *, ca: PrivateCa | None = None
) -> Iterator[KmsFront]:
    """The KMS at `endpoint`, `http://HOST:PORT`, behind TLS at the Unix socket `path`.

    `ca` signs its certificate; by default a new one. Where the endpoint cannot be reached a client
    sees its connection end after the handshake. Raises CannotListen, ValueError for another kind of
    endpoint and for no Region.
    """
    host, port = _address(endpoint)
    names = kms_names(region)
    ca = ca or PrivateCa.create()
    context = _context(ca, names)

    def serve(client: socket.socket, stop: Stop) -> None:
        try:
            codec = ServerTls(context)
            end = End(client, codec)
            said = negotiate(end, lambda: codec.is_shaken, stop)
            with closing(reached(host, port, stop)) as connection:
                target = End(connection)
                target.send(said)
                if end.has_ended:
                    target.close()
                join(end, target, stop, HalfClose.PASSED_ON)
        except ssl.SSLEOFError:
            pass  # A client that came and went, as some do to see whether anybody listens.
        except ssl.SSLError as error:
            _log.warning("%s", _refusal(error, names))
        except Stopped:
            pass

    with listening(path, serve, f"kms-tls-{path.stem}"):
        yield KmsFront(names, ca.pem)


def _address(endpoint: str) -> tuple[str, int]:
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(
            f"{endpoint} is no plain endpoint; give one such as http://127.0.0.1:8080."
        )
    return parts.hostname, parts.port or 80


def _context(ca: PrivateCa, names: tuple[str, ...]) -> ssl.SSLContext:
    context = ca.server_context(names)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])

    def asked_for(_: ssl.SSLObject | ssl.SSLSocket, name: str | None, __: ssl.SSLContext) -> None:
        if name is not None and name.lower() not in names:
            _log.warning(
                "A client asked for %s where %s is served; it will refuse the certificate",
                name,
                names[0],
            )

    context.sni_callback = asked_for
    return context


def _refusal(error: ssl.SSLError, names: tuple[str, ...]) -> str:
    if "ALERT" in (error.reason or ""):
        return (
            f"A client refused KMS's certificate ({error.reason}). It must ask for {names[0]} or "
            "another of KMS's names, and trust the simulator's CA: have it read one of the merged "
            "bundles, or name one in SSL_CERT_FILE or AWS_CA_BUNDLE. One that pins AWS's own roots "
            "cannot be tested so."
        )
    return f"A client at KMS's port speaks no TLS 1.2 or 1.3 that is known here ({error.reason})."


class ServerTls:
    """The codec of a TLS connection, at the server's side (`streams.Codec`)."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._has_ended = False
        self.is_shaken = False
        """Whether the handshake is over."""

    def decode(self, wire: bytes) -> bytes:
        """The content of the records in `wire`. Raises ssl.SSLError."""
        if wire:
            self._incoming.write(wire)
        else:
            self._incoming.write_eof()
        try:
            if not self.is_shaken:
                self._tls.do_handshake()
                self.is_shaken = True
            return self._all_content()
        except ssl.SSLWantReadError:
            return b""

    def _all_content(self) -> bytes:
        content = bytearray()
        try:
            while part := self._tls.read(_READ):
                content += part
            self._has_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLEOFError:
            # Without a farewell, as clients often go; HTTP says by itself where it is whole.
            self._has_ended = True
        return bytes(content)

    def encode(self, content: bytes) -> None:
        """Put it into records."""
        self._tls.write(content)

    def end(self) -> None:
        """A close_notify."""
        # The client's own may still be to come, if it comes at all.
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()

    @property
    def has_ended(self) -> bool:
        """Whether the client sent its close_notify, or nothing more."""
        return self._has_ended

    def to_send(self) -> bytes:
        """Records that are ready."""
        return self._outgoing.read()
