"""KMS under its real names behind TLS, by Python's ssl, openssl and boto3."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, SSLError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from kms_fake import serving
from simulator.environment import away_from_aws
from simulator.fabric import temporary_fabric
from simulator.parent_services.kms_tls import KmsFront, kms_names, kms_over_tls
from simulator.parent_services.listener import CannotListen
from simulator.parent_services.private_ca import PrivateCa
from tests.kms_fake import world
from tests.simulator.parent_world import (
    TIMEOUT,
    bridge,
    has_ended,
    nothing_left,
    read_all,
    unix_client,
)

KMS = "kms.us-east-1.amazonaws.com"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def path() -> Iterator[Path]:
    with temporary_fabric() as fabric:
        yield fabric.socket(3, 8000)


@contextmanager
def target() -> Iterator[tuple[socket.socket, str]]:
    """A listening TCP socket in KMS's place, and its endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT)
        yield server, f"http://127.0.0.1:{server.getsockname()[1]}"


def accept(server: socket.socket) -> socket.socket:
    connection, _ = server.accept()
    connection.settimeout(TIMEOUT)
    return connection


def read(connection: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length and (part := connection.recv(length - len(content))):
        content += part
    return content


def client_context(front: KmsFront) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # What create_default_context sets from Python 3.13 on.
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=front.ca_pem.decode())
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def tls_client(
    path: Path, context: ssl.SSLContext, name: str = KMS, *, suppress_ragged_eofs: bool = False
) -> ssl.SSLSocket:
    client = unix_client(path)
    try:
        return context.wrap_socket(
            client, server_hostname=name, suppress_ragged_eofs=suppress_ragged_eofs
        )
    except BaseException:
        client.close()
        raise


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", kms_names("us-east-1"))
def test_a_client_that_verifies_everything_is_content(
    path: Path, name: str, version: ssl.TLSVersion
) -> None:
    with nothing_left(), target() as (server, endpoint):
        with kms_over_tls(path, endpoint, "us-east-1") as front:
            context = client_context(front)
            context.minimum_version = context.maximum_version = version
            with tls_client(path, context, name) as client, accept(server) as kms:
                assert client.selected_alpn_protocol() == "http/1.1"
                client.sendall(b"POST / HTTP/1.1\r\n")
                assert kms.recv(100) == b"POST / HTTP/1.1\r\n"
                kms.sendall(b"HTTP/1.1 200 OK\r\n")
                assert client.recv(100) == b"HTTP/1.1 200 OK\r\n"
        assert not path.exists()


def test_the_names_of_a_region() -> None:
    assert kms_names("us-east-1") == (
        "kms.us-east-1.amazonaws.com",
        "kms-fips.us-east-1.amazonaws.com",
        "kms.us-east-1.api.aws",
        "kms-fips.us-east-1.api.aws",
    )
    assert kms_names("cn-north-1")[0] == "kms.cn-north-1.amazonaws.com.cn"
    assert kms_names("us-gov-west-1")[0] == "kms.us-gov-west-1.amazonaws.com"


def test_what_it_cannot_serve(path: Path) -> None:
    with (
        pytest.raises(ValueError, match="There is no Region us-east-9"),
        kms_over_tls(path, "http://127.0.0.1:1", "us-east-9"),
    ):
        pass
    for endpoint in ("https://127.0.0.1:1", "127.0.0.1:1", "http://", "http://127.0.0.1:1/path"):
        with (
            pytest.raises(ValueError, match="is no plain endpoint; give one such as"),
            kms_over_tls(path, endpoint, "us-east-1"),
        ):
            pass
    assert not path.exists()


def test_an_address_in_use(path: Path) -> None:
    with (
        kms_over_tls(path, "http://127.0.0.1:1", "us-east-1"),
        pytest.raises(CannotListen, match="Another program listens"),
        kms_over_tls(path, "http://127.0.0.1:1", "us-east-1"),
    ):
        pass


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["http/1.1"], "http/1.1"), (["h2"], None), ([], None), (["h2", "http/1.1"], "http/1.1")],
)
def test_the_protocol_inside(path: Path, offered: list[str], chosen: str | None) -> None:
    with target() as (_, endpoint), kms_over_tls(path, endpoint, "us-east-1") as front:
        context = ssl.create_default_context(cadata=front.ca_pem.decode())
        if offered:
            context.set_alpn_protocols(offered)
        with tls_client(path, context) as client:
            assert client.selected_alpn_protocol() == chosen


def test_older_tls_is_refused(path: Path) -> None:
    with target() as (_, endpoint), kms_over_tls(path, endpoint, "us-east-1") as front:
        context = client_context(front)
        with pytest.warns(DeprecationWarning, match="TLS"):
            context.minimum_version = ssl.TLSVersion.TLSv1_1
        with pytest.warns(DeprecationWarning, match="TLS"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            tls_client(path, context)


def test_a_client_that_does_not_trust_the_authority_refuses_and_the_log_says_how_to_mend_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.create_default_context(cadata=PrivateCa.create().pem.decode())
    with (
        target() as (_, endpoint),
        kms_over_tls(path, endpoint, "us-east-1"),
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        tls_client(path, context)
    assert "A client refused KMS's certificate (TLSV1_ALERT_UNKNOWN_CA)" in caplog.text
    assert "AWS_CA_BUNDLE" in caplog.text


def test_another_name_is_for_the_client_to_refuse(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = "secretsmanager.us-east-1.amazonaws.com"
    with target() as (_, endpoint), kms_over_tls(path, endpoint, "us-east-1") as front:
        context = client_context(front)
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            tls_client(path, context, name)
        context.check_hostname = False
        with tls_client(path, context, name) as client:
            assert ("DNS", KMS) in (client.getpeercert() or {})["subjectAltName"]
    assert f"A client asked for {name} where {KMS} is served" in caplog.text


@pytest.mark.parametrize("version", VERSIONS)
def test_half_closes_are_passed_on(path: Path, version: ssl.TLSVersion) -> None:
    with target() as (server, endpoint), kms_over_tls(path, endpoint, "us-east-1") as front:
        context = client_context(front)
        context.minimum_version = context.maximum_version = version
        with tls_client(path, context) as client, accept(server) as kms:
            client.sendall(b"question")
            # OpenSSL's own close_notify comes with `unwrap`, which waits for the other one.
            closer = threading.Thread(target=lambda: closing(client.unwrap()).__exit__(None))
            closer.start()
            assert read_all(kms) == b"question"
            kms.close()
            closer.join()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_end_of_kmss_answer_is_a_farewell_and_no_truncation(
    path: Path, version: ssl.TLSVersion
) -> None:
    with target() as (server, endpoint), kms_over_tls(path, endpoint, "us-east-1") as front:
        context = client_context(front)
        context.minimum_version = context.maximum_version = version
        # Without suppress_ragged_eofs an end without close_notify is an error.
        with tls_client(path, context) as client:
            with accept(server) as kms:
                kms.sendall(b"answer")
            assert read_all(client) == b"answer"


def test_a_client_that_leaves_without_a_farewell_ends_the_connection_to_kms(path: Path) -> None:
    with target() as (server, endpoint), kms_over_tls(path, endpoint, "us-east-1") as front:
        client = tls_client(path, client_context(front))
        with accept(server) as kms:
            client.sendall(b"bye")
            client.close()
            assert read_all(kms) == b"bye"


def test_much_more_than_any_buffer_arrives_whole(path: Path) -> None:
    content = bytes(range(256)) * 16 * 1024
    with (
        target() as (server, endpoint),
        kms_over_tls(path, endpoint, "us-east-1") as front,
        tls_client(path, client_context(front)) as client,
        accept(server) as kms,
    ):
        sender = threading.Thread(target=client.sendall, args=(content,))
        sender.start()
        assert read(kms, len(content)) == content
        sender.join()
        sender = threading.Thread(target=kms.sendall, args=(content,))
        sender.start()
        assert read(client, len(content)) == content
        sender.join()


def test_the_request_may_come_with_the_end_of_the_handshake(path: Path) -> None:
    """A client that sends Finished and its request in one write, as those of TLS 1.3 may."""
    with target() as (server, endpoint), kms_over_tls(path, endpoint, "us-east-1") as front:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context(front).wrap_bio(incoming, outgoing, server_hostname=KMS)
        with unix_client(path) as client:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    client.sendall(outgoing.read())
                    incoming.write(client.recv(65536))
            tls.write(b"request")
            with pytest.raises(ssl.SSLWantReadError):
                tls.unwrap()
            client.sendall(outgoing.read())
            with accept(server) as kms:
                assert read_all(kms) == b"request"


@pytest.mark.parametrize(
    ("said", "logged"),
    [(b"GET / HTTP/1.1\r\n\r\n", True), (b"\x16\x03\x01", False), (b"", False)],
)
def test_what_is_no_tls_is_closed_and_the_service_goes_on(
    path: Path, said: bytes, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with target() as (_, endpoint), kms_over_tls(path, endpoint, "us-east-1") as front:
        with unix_client(path) as rude:
            rude.sendall(said)
            rude.shutdown(socket.SHUT_WR)
            read_all(rude)
        tls_client(path, client_context(front)).close()
    assert ("speaks no TLS 1.2 or 1.3" in caplog.text) is logged


def test_a_broken_record_ends_the_connection_on_both_sides(path: Path) -> None:
    with (
        target() as (server, endpoint),
        kms_over_tls(path, endpoint, "us-east-1") as front,
        tls_client(path, client_context(front)) as client,
        accept(server) as kms,
    ):
        with socket.socket(fileno=client.fileno()) as raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            raw.detach()
        assert has_ended(kms)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            client.recv(1)


def test_a_kms_that_is_not_there_ends_the_connection_after_the_handshake(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with target() as (_, endpoint):
        pass  # Now it is free.
    with (
        kms_over_tls(path, endpoint, "us-east-1") as front,
        tls_client(path, client_context(front), suppress_ragged_eofs=True) as client,
    ):
        assert has_ended(client)
    assert "Could not connect to 127.0.0.1" in caplog.text


def test_the_end_of_the_service_ends_what_is_under_way(path: Path) -> None:
    with nothing_left(), target() as (server, endpoint):
        with kms_over_tls(path, endpoint, "us-east-1") as front:
            silent, half = unix_client(path), unix_client(path)
            half.sendall(b"\x16\x03\x01\x02\x00")
            used = tls_client(path, client_context(front), suppress_ragged_eofs=True)
            kms = accept(server)
        for client in (silent, half, used):
            assert has_ended(client)
        for client in (silent, half, used, kms):
            client.close()


# The certificates.


def presented(path: Path, front: KmsFront) -> x509.Certificate:
    with tls_client(path, client_context(front)) as client:
        der = client.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def test_the_certificates_say_whose_they_are_and_what_for(path: Path) -> None:
    with target() as (_, endpoint), kms_over_tls(path, endpoint, "us-east-1") as front:
        (authority,) = x509.load_pem_x509_certificates(front.ca_pem)
        server = presented(path, front)
    for certificate in (authority, server):
        assert "NotAWS" in certificate.subject.rfc4514_string()
        assert "attested-kms" in certificate.subject.rfc4514_string()
        assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    server.verify_directly_issued_by(authority)
    assert authority.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(names.get_values_for_type(x509.DNSName)) == front.names == kms_names("us-east-1")
    assert authority.not_valid_before_utc <= server.not_valid_before_utc
    lifetime = server.not_valid_after_utc - server.not_valid_before_utc
    assert 80 < lifetime.days < 100


def test_each_authority_is_a_new_one_unless_one_is_given(path: Path) -> None:
    ca = PrivateCa.create()
    assert ca.pem != PrivateCa.create().pem
    assert "_key" not in repr(ca)
    with target() as (_, endpoint), kms_over_tls(path, endpoint, "eu-west-1", ca=ca) as front:
        assert front.ca_pem == ca.pem


def test_openssl_is_content(path: Path, openssl: str, tmp_path: Path) -> None:
    with target() as (_, endpoint), kms_over_tls(path, endpoint, "us-east-1") as front:
        (tmp_path / "ca.pem").write_bytes(front.ca_pem)
        result = subprocess.run(
            [
                *(openssl, "s_client", "-unix", str(path), "-servername", KMS),
                *("-CAfile", str(tmp_path / "ca.pem"), "-x509_strict", "-verify_return_error"),
                *("-verify_hostname", KMS, "-alpn", "h2,http/1.1"),
            ],
            input=b"",
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert b"Verify return code: 0 (ok)" in result.stdout, result.stderr
    assert b"ALPN protocol: http/1.1" in result.stdout


# boto3, which is not told of any endpoint.


@contextmanager
def real_client(path: Path, ca_file: Path, name: str = "kms") -> Iterator[Any]:
    """A client for https://kms.us-east-1.amazonaws.com; a proxy leads all names to `path`."""
    with away_from_aws(), bridge(path, connect=True) as proxy:
        client = boto3.client(
            name,
            region_name="us-east-1",
            aws_access_key_id="PARENTINSTANCE",
            aws_secret_access_key="any",  # noqa: S106
            verify=str(ca_file),
            config=Config(proxies={"https": f"http://{proxy}"}, retries={"total_max_attempts": 1}),
        )
        try:
            yield client
        finally:
            client.close()


def test_boto3_reaches_the_fake_under_kmss_own_name(path: Path, tmp_path: Path) -> None:
    fake = world.fake()
    with serving(fake) as server, kms_over_tls(path, server.endpoint, "us-east-1") as front:
        (tmp_path / "ca.pem").write_bytes(front.ca_pem)
        with real_client(path, tmp_path / "ca.pem") as kms:
            assert kms.meta.endpoint_url == f"https://{KMS}"
            key = world.moto_key()
            answer = kms.decrypt(
                CiphertextBlob=world.sealed(key),
                Recipient={
                    "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                    "AttestationDocument": world.Document().build(),
                },
            )
            assert answer["CiphertextForRecipient"].startswith(b"\x30\x80")
            with pytest.raises(ClientError, match="InvalidCiphertextException"):
                kms.decrypt(CiphertextBlob=b"nothing")
    assert [call.operation for call in fake.calls] == ["Decrypt", "Decrypt"]


def test_boto3_that_does_not_trust_the_authority_refuses(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ca.pem").write_bytes(PrivateCa.create().pem)
    with (
        serving(world.fake()) as server,
        kms_over_tls(path, server.endpoint, "us-east-1"),
        real_client(path, tmp_path / "ca.pem") as kms,
        pytest.raises(SSLError),
    ):
        kms.list_keys()
    refusals = [entry for entry in caplog.records if entry.levelno == logging.WARNING]
    assert any("refused KMS's certificate" in entry.message for entry in refusals)
