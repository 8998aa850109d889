"""The management listener as clients in any language meet it: HTTP and CBOR over real sockets."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import boto3
import cbor2
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_fake import KmsFake, serving
from kms_fake.catalogue import ROWS
from kms_fake.roots import root_from_der
from nsm_fake import NsmPki, pcr_of_instance_id, pcr_of_role_arn, pcrs_of_label
from simulator import management
from simulator.clock import SimulatedClock
from simulator.enclaves import Enclaves
from simulator.management import Managed, UnsafeListener, managing

ROLE = "arn:aws:iam::123456789012:role/Web"
INSTANCE = "i-0123456789abcdef0"
ZERO = "0" * 96
ONE = "01" * 48


@dataclass
class Answered:
    """One answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)

    def lines(self) -> list[Any]:
        assert self.headers["Content-Type"] == "application/jsonl"
        return [json.loads(line) for line in self.body.splitlines()]

    def refusal(self, status: int) -> str:
        """The sentence of a refusal with that status."""
        assert self.status == status, self.body
        (sentence,) = self.json().values()
        assert isinstance(sentence, str)
        return sentence


class Client:
    """A keep-alive connection to a management listener."""

    def __init__(self, endpoint: str, **headers: str) -> None:
        self.netloc = urlsplit(endpoint).netloc
        self.connection = http.client.HTTPConnection(self.netloc, timeout=30)
        self.headers = headers

    def __call__(
        self, method: str, path: str, body: bytes | dict[str, Any] | None = None, **headers: str
    ) -> Answered:
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        self.connection.request(method, path, content, {**self.headers, **headers})
        response = self.connection.getresponse()
        return Answered(response.status, response.headers, response.read())

    def enclave(self, **members: Any) -> dict[str, Any]:
        made = self("POST", "/enclaves", members)
        assert made.status == 201, made.body
        answer: dict[str, Any] = made.json()
        return answer

    def nsm(self, enclave_id: str, request: object) -> Any:
        answered = self("POST", f"/enclaves/{enclave_id}/nsm", cbor2.dumps(request))
        assert (answered.status, answered.headers["Content-Type"]) == (200, "application/cbor")
        return cbor2.loads(answered.body)

    def document(self, enclave_id: str) -> bytes:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        fields = {"user_data": None, "nonce": None, "public_key": spki}
        document: bytes = self.nsm(enclave_id, {"Attestation": fields})["Attestation"]["document"]
        return document


@pytest.fixture
def managed() -> Managed:
    pki = NsmPki(b"tests/simulator")
    clock = SimulatedClock()
    return Managed(KmsFake([root_from_der(pki.root_certificate_der)], clock=clock), clock, pki)


@pytest.fixture
def ask(managed: Managed) -> Iterator[Client]:
    with managing(managed) as server:
        client = Client(server.endpoint)
        yield client
        client.connection.close()


@pytest.fixture
def kms(managed: Managed) -> Iterator[Any]:
    """A boto3 client of the KMS beside the listener."""
    with serving(managed.fake) as server:
        client = boto3.client(
            "kms",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id="PARENTINSTANCE",
            aws_secret_access_key="any",  # noqa: S106  # No secret.
            config=Config(retries={"total_max_attempts": 1}),
        )
        yield client
        client.close()


def attested(kms: Any, document: bytes) -> dict[str, Any]:
    """Encrypt, and an attested Decrypt."""
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    recipient = {
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "AttestationDocument": document,
    }
    answer: dict[str, Any] = kms.decrypt(CiphertextBlob=blob, Recipient=recipient)
    return answer


def test_an_enclave_is_made_asked_and_ended(ask: Client) -> None:
    enclave = ask.enclave(role_arn=ROLE, instance_id=INSTANCE)
    assert enclave["pcrs"]["3"] == pcr_of_role_arn(ROLE).hex()
    assert enclave["pcrs"]["4"] == pcr_of_instance_id(INSTANCE).hex()
    assert list(enclave["pcrs"]) == [str(index) for index in range(16)]
    described = ask.nsm(enclave["enclave_id"], "DescribeNSM")["DescribeNSM"]
    assert described["module_id"] == enclave["module_id"]
    assert ask("GET", "/enclaves").json() == [enclave]
    path = f"/enclaves/{enclave['enclave_id']}"
    assert ask("DELETE", path).status == 204
    assert "POST /enclaves" in ask("DELETE", path).refusal(404)
    assert ask("POST", f"{path}/nsm", cbor2.dumps("DescribeNSM")).refusal(404)
    assert ask("GET", "/enclaves").json() == []


def test_the_enclave_id_is_nitro_clis(ask: Client) -> None:
    """The EnclaveID has no zeros after -enc, the module id of documents has."""
    enclave = ask.enclave()
    instance, _, number = enclave["module_id"].partition("-enc")
    assert enclave["enclave_id"] == f"{instance}-enc{int(number, 16):x}"


def test_an_empty_body_is_an_enclave_with_every_default(ask: Client) -> None:
    made = ask("POST", "/enclaves")
    assert made.status == 201
    assert made.json()["pcrs"]["0"] == pcrs_of_label("attested-kms")[0].hex()


def test_measurements_are_as_given(ask: Client, managed: Managed) -> None:
    pem = NsmPki(b"any certificate").root_certificate_pem
    der = NsmPki(b"any certificate").root_certificate_der
    enclave = ask.enclave(
        pcrs={"0": ONE, "1": "AB" * 48, "2": "02" * 48},
        region="eu-central-1",
        signing_certificate=pem.decode(),
    )
    pcr8 = hashlib.sha384(bytes(48) + hashlib.sha384(der).digest()).hexdigest()
    shown = {index: enclave["pcrs"][index] for index in ("0", "1", "2", "3", "8")}
    assert shown == {"0": ONE, "1": "ab" * 48, "2": "02" * 48, "3": ZERO, "8": pcr8}
    assert managed.enclaves.get(enclave["enclave_id"]).nsm.identity.region == "eu-central-1"


def test_pcr8_may_be_given_without_its_certificate(ask: Client) -> None:
    assert ask.enclave(pcrs={"8": ONE})["pcrs"]["8"] == ONE


def test_pcr3_and_pcr4_may_be_said_again(ask: Client) -> None:
    pcrs = {"3": pcr_of_role_arn(ROLE).hex(), "4": pcr_of_instance_id(INSTANCE).hex()}
    enclave = ask.enclave(pcrs=pcrs, role_arn=ROLE, instance_id=INSTANCE)
    assert pcrs.items() <= enclave["pcrs"].items()
    assert ask.enclave(pcrs={"3": ZERO})["pcrs"]["3"] == ZERO


def test_debug_mode_shows_zeros(ask: Client) -> None:
    pcrs = ask.enclave(pcrs={"0": ONE, "8": ONE}, role_arn=ROLE, debug_mode=True)["pcrs"]
    assert [pcrs[index] for index in ("0", "1", "2", "8")] == [ZERO] * 4
    assert pcrs["3"] == pcr_of_role_arn(ROLE).hex()


def test_null_is_as_if_it_were_not_there(ask: Client) -> None:
    names = ("pcrs", "role_arn", "instance_id", "region", "debug_mode", "signing_certificate")
    assert ask.enclave(**dict.fromkeys(names))["pcrs"]["3"] == ZERO


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"pcr0": ONE}, "There is no member 'pcr0'; give any of pcrs, role_arn,"),
        ({"pcrs": [ONE]}, "pcrs is not an object"),
        ({"pcrs": {"0": "01" * 32}}, "pcrs.0 is not a SHA-384 digest: give 96 hexadecimal"),
        ({"pcrs": {"0": 1}}, "pcrs.0 is not a SHA-384 digest"),
        ({"pcrs": {"0": "0x" + "01" * 47}}, "pcrs.0 is not a SHA-384 digest"),
        ({"pcrs": {"00": ONE}}, "pcrs.00 cannot be given"),
        ({"pcrs": {"16": ONE}}, "PCR16 to 31 an enclave extends itself, with ExtendPCR"),
        ({"pcrs": {"5": ONE}}, "pcrs.5 cannot be given"),
        ({"pcrs": {"3": ONE}}, "pcrs.3 contradicts what is measured: with no role_arn it is 00"),
        ({"pcrs": {"3": ONE}, "role_arn": ROLE}, f"role_arn it is {pcr_of_role_arn(ROLE).hex()}"),
        ({"pcrs": {"4": ONE}}, "give instance_id as well"),
        ({"pcrs": {"4": ONE}, "instance_id": INSTANCE}, "with this instance_id it is"),
        ({"role_arn": 5}, "role_arn is not a string"),
        ({"role_arn": "arn:aws:sts::123456789012:assumed-role/Web/x"}, "an assumed-role ARN"),
        ({"instance_id": "i-1"}, "'i-1' is not an EC2 instance id"),
        ({"region": "us"}, "'us' is not an AWS region"),
        ({"debug_mode": "true"}, "debug_mode is not true or false"),
        ({"signing_certificate": "AAAA"}, "signing certificate does not read"),
        ({"signing_certificate": "\udc80"}, "signing certificate does not read"),
    ],
    ids=str,
)
def test_enclaves_that_cannot_be(ask: Client, members: dict[str, Any], sentence: str) -> None:
    assert sentence in ask("POST", "/enclaves", members).refusal(400)


def test_a_certificate_and_another_pcr8_contradict(ask: Client) -> None:
    pem = NsmPki(b"any certificate").root_certificate_pem.decode()
    members = {"pcrs": {"8": ONE}, "signing_certificate": pem}
    refused = ask("POST", "/enclaves", members).refusal(400)
    assert "with this signing_certificate it is" in refused


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 60_000, b"null"], ids=lambda body: repr(body[:5])
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/enclaves"), ("PUT", "/clock")])
def test_bodies_that_are_no_json_objects(ask: Client, method: str, path: str, body: bytes) -> None:
    assert "The body is" in ask(method, path, body).refusal(400)


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"", "InvalidOperation"),
        (b"\xff", "InvalidOperation"),
        (b'{"json": true}', "InvalidOperation"),
        (cbor2.dumps("Nonsense"), "InvalidOperation"),
        (cbor2.dumps("DescribeNSM") + b"\x00", "InvalidOperation"),
        (cbor2.dumps({"DescribePCR": {"index": 32}}), "InvalidIndex"),
        (cbor2.dumps({"LockPCRs": {"range": 33}}), "InvalidIndex"),
        (cbor2.dumps({"ExtendPCR": {"index": 0, "data": b"x"}}), "ReadOnlyIndex"),
        (cbor2.dumps({"LockPCR": {"index": 3}}), "ReadOnlyIndex"),
        (cbor2.dumps({"Attestation": {"nonce": bytes(5000)}}), "InputTooLarge"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_the_nsms_errors_are_its_answers(ask: Client, request_bytes: bytes, code: str) -> None:
    """An error of the NSM is no error of HTTP: the driver hands the same bytes to the program."""
    path = f"/enclaves/{ask.enclave()['enclave_id']}/nsm"
    answered = ask("POST", path, request_bytes)
    assert (answered.status, cbor2.loads(answered.body)) == (200, {"Error": code})


def test_the_content_type_of_an_nsm_request_does_not_matter(ask: Client) -> None:
    path = f"/enclaves/{ask.enclave()['enclave_id']}/nsm"
    for content_type in ("application/cbor", "application/octet-stream", "text/plain"):
        headers = {"Content-Type": content_type}
        answered = ask("POST", path, cbor2.dumps("GetRandom"), **headers)
        assert len(cbor2.loads(answered.body)["GetRandom"]["random"]) == 256


def test_registers_belong_to_one_enclave(ask: Client) -> None:
    first, second = ask.enclave(), ask.enclave()
    extended = ask.nsm(first["enclave_id"], {"ExtendPCR": {"index": 16, "data": b"x"}})
    ask.nsm(first["enclave_id"], {"LockPCR": {"index": 16}})
    listed = {one["enclave_id"]: one["pcrs"] for one in ask("GET", "/enclaves").json()}
    assert listed[first["enclave_id"]]["16"] == extended["ExtendPCR"]["data"].hex()
    assert "16" not in listed[second["enclave_id"]]


def test_one_instance_has_many_enclaves(ask: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids that meet, one time in 65,536 within a millisecond, are drawn again."""
    ends = iter([b"\x00\x01", b"\x00\x01", b"\x00\x02"])
    monkeypatch.setattr("nsm_fake.randomness.Derivation.bytes", lambda *_: next(ends))
    monkeypatch.setattr("simulator.clock._machine_ms", lambda: 1_785_784_796_857)
    ids = {ask.enclave(instance_id=INSTANCE)["enclave_id"] for _ in range(2)}
    assert len(ids) == 2


def test_there_are_only_so_many_enclaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "Enclaves", lambda *a, **k: Enclaves(*a, **k, most=2))
    pki, clock = NsmPki(), SimulatedClock()
    with managing(Managed(Mock(), clock, pki)) as server:
        ask = Client(server.endpoint)
        first = ask.enclave()
        ask.enclave()
        assert "There are 2 enclaves, which is the most" in ask("POST", "/enclaves").refusal(409)
        ask("DELETE", f"/enclaves/{first['enclave_id']}")
        assert ask.enclave()
        ask.connection.close()


def test_a_thousand_enclaves_at_once(ask: Client) -> None:
    made = [ask.enclave()["enclave_id"] for _ in range(1000)]
    assert len(set(made)) == len(ask("GET", "/enclaves").json()) == 1000
    described = ask.nsm(made[500], "DescribeNSM")["DescribeNSM"]["module_id"]
    assert described.startswith(made[500].partition("-enc")[0])


def test_threads_make_and_end_enclaves_at_once(managed: Managed) -> None:
    with managing(managed) as server, ThreadPoolExecutor(8) as pool:

        def live(_: int) -> int:
            ask = Client(server.endpoint)
            path = f"/enclaves/{ask.enclave()['enclave_id']}"
            ask("GET", "/enclaves")
            status = ask("DELETE", path).status
            ask.connection.close()
            return status

        assert set(pool.map(live, range(40))) == {204}
    assert managed.enclaves.all() == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/enclaves", "GET, POST"),
        ("GET", "/enclaves/i-1", "DELETE"),
        ("GET", "/enclaves/i-1/nsm", "POST"),
        ("POST", "/clock", "GET, PUT"),
        ("PUT", "/calls", "GET, DELETE"),
        ("DELETE", "/rules", "GET"),
        ("POST", "/cloudtrail", "GET"),
        ("PATCH", "/clock", "GET, PUT"),
    ],
)
def test_methods_that_are_not_there(ask: Client, method: str, path: str, allowed: str) -> None:
    answered = ask(method, path)
    assert answered.refusal(405) == f"{path} takes {allowed}, not {method}."
    assert answered.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["/", "/enclave", "/enclaves/", "/enclaves/a/b", "/calls/1", "*"])
def test_paths_that_are_not_there(ask: Client, path: str) -> None:
    assert ask("GET", path).status in {400, 404}
    assert "/enclaves/ID/nsm" in ask("GET", "/nothing").refusal(404)


def test_a_query_is_refused_rather_than_ignored(ask: Client) -> None:
    assert ask("GET", "/calls?rule=document.root").refusal(400) == "/calls takes no query."


def test_head_has_no_body(ask: Client) -> None:
    answered = ask("HEAD", "/rules")
    assert (answered.status, answered.body) == (405, b"")
    assert ask("GET", "/clock").status == 200


def test_a_body_over_the_limit_is_refused(ask: Client) -> None:
    body = b" " * (management.MAX_BODY + 1)
    assert "longer than 65536 bytes" in ask("POST", "/enclaves", body).refusal(413)
    assert ask("GET", "/clock").status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"POST /enclaves HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET /clock HTTP/1.1\r\nHost: localhost\r\nBad Header\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_a_sentence_too(ask: Client, request_bytes: bytes) -> None:
    host, _, port = ask.netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request_bytes)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert list(json.loads(body)) == ["error"]


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.0.0.1:1", "[::1]:80", "LOCALHOST:5", "127.9.9.9"]
)
def test_this_machines_own_names_are_answered(ask: Client, host: str) -> None:
    assert ask("GET", "/clock", Host=host).status == 200


@pytest.mark.parametrize(
    "host", ["rebound.example", "rebound.example:80", "10.0.0.1", "[", "", "localhost.example"]
)
def test_another_name_for_this_machine_is_refused(ask: Client, host: str) -> None:
    """A name that a stranger's DNS points here (DNS rebinding) comes in the header Host."""
    assert "header Host" in ask("GET", "/calls", Host=host).refusal(403)


def test_a_browsers_request_for_a_site_is_refused(ask: Client) -> None:
    assert "Origin" in ask("POST", "/enclaves", Origin="http://localhost:3000").refusal(403)


def test_a_token_is_all_that_counts_where_there_is_one(managed: Managed) -> None:
    with managing(managed, token="a-token") as server:  # noqa: S106  # A test's.
        ask = Client(server.endpoint)
        for given in ("", "Bearer b", "a-token", "Bearer a-token2"):
            answered = ask("GET", "/clock", Authorization=given)
            assert "Authorization: Bearer TOKEN" in answered.refusal(401)
            assert answered.headers["WWW-Authenticate"] == "Bearer"
        assert ask("POST", "/nothing").status == 401  # Nothing is told without the token.
        good = "Bearer a-token"
        elsewhere = ask("GET", "/clock", Authorization=good, Host="elsewhere", Origin="http://x")
        assert elsewhere.status == 200
        ask.connection.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "a-host"])  # noqa: S104
def test_nothing_opens_beyond_loopback_without_a_token(managed: Managed, host: str) -> None:
    with pytest.raises(UnsafeListener, match=r"--management-token"), managing(managed, host=host):
        pytest.fail("it listens")


@pytest.mark.parametrize("token", ["", "two words", "tab\t", "ünïcode", "line\n"])
def test_a_token_fits_into_a_header(managed: Managed, token: str) -> None:
    with pytest.raises(UnsafeListener, match="visible ASCII"), managing(managed, token=token):
        pytest.fail("it listens")


def test_beyond_loopback_with_a_token(managed: Managed) -> None:
    everywhere = managing(managed, host="0.0.0.0", token="t")  # noqa: S104, S106
    with everywhere as server:
        ask = Client(f"http://127.0.0.1:{urlsplit(server.endpoint).port}")
        assert ask("GET", "/clock").status == 401
        assert ask("GET", "/clock", Authorization="Bearer t").status == 200
        ask.connection.close()


def seconds_from_now(iso: str) -> float:
    return dt.datetime.fromisoformat(iso).timestamp() - time.time()


def test_clocks_are_moved_apart_and_go_on(ask: Client, managed: Managed) -> None:
    moved = ask("PUT", "/clock", {"of": "kms", "offset_seconds": 600.5}).json()
    assert moved["kms"]["offset_seconds"] == 600.5
    assert moved["enclaves"]["offset_seconds"] == 0
    assert seconds_from_now(moved["kms"]["now"]) == pytest.approx(600.5, abs=30)
    before = managed.kms_clock()
    while managed.kms_clock() == before:
        pass  # It ticks.
    assert ask("GET", "/clock").json()["kms"]["offset_seconds"] == 600.5
    ask("PUT", "/clock", {"of": "enclaves", "offset_seconds": -60})
    back = ask("PUT", "/clock", {"offset_seconds": 0}).json()
    assert {clock["offset_seconds"] for clock in back.values()} == {0}


@pytest.mark.parametrize(
    "now", ["2026-08-03T19:19:56Z", "2026-08-03T21:19:56.000+02:00", "20260803T191956Z"]
)
def test_a_clock_is_set_to_a_time(ask: Client, now: str) -> None:
    state = ask("PUT", "/clock", {"of": "all", "now": now}).json()
    for clock in state.values():
        assert clock["now"].startswith("2026-08-03T19:19:5")
        assert clock["now"].endswith("Z")


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({}, "Give either offset_seconds or now"),
        ({"offset_seconds": 1, "now": "2026-08-03T19:19:56Z"}, "Give either offset_seconds or now"),
        ({"of": "nsm", "offset_seconds": 1}, "of is 'nsm'; give kms, enclaves or all"),
        ({"of": ["kms"], "offset_seconds": 1}, "give kms, enclaves or all"),
        ({"offset": 1}, "There is no member offset; give of, and offset_seconds or now"),
        ({"offset_seconds": "1"}, "offset_seconds is not a number"),
        ({"offset_seconds": True}, "offset_seconds is not a number"),
        ({"offset_seconds": float("nan")}, "not a number of seconds within"),
        ({"offset_seconds": float("inf")}, "not a number of seconds within"),
        ({"offset_seconds": 10**400}, "not a number of seconds within"),
        ({"offset_seconds": 1e12}, "would leave the years 1970 to 9999"),
        ({"now": "1969-12-31T23:59:59Z"}, "would leave the years 1970 to 9999"),
        ({"now": "2026-08-03T19:19:56"}, "now is not a time in ISO 8601 with its zone"),
        ({"now": "tomorrow"}, "now is not a time in ISO 8601"),
        ({"now": 1785784796}, "now is not a time in ISO 8601"),
        ({"now": "2060-01-01T00:00:00Z"}, "the simulated root certificate can issue from"),
    ],
    ids=str,
)
def test_times_that_cannot_be(ask: Client, members: dict[str, Any], sentence: str) -> None:
    assert sentence in ask("PUT", "/clock", members).refusal(400)
    offsets = {clock["offset_seconds"] for clock in ask("GET", "/clock").json().values()}
    assert offsets == {0}


def test_kms_alone_may_outlive_the_root(ask: Client) -> None:
    state = ask("PUT", "/clock", {"of": "kms", "now": "2060-01-01T00:00:00Z"}).json()
    assert state["kms"]["now"].startswith("2060-01-01T00:00:0")


def test_a_document_grows_old(ask: Client, kms: Any) -> None:
    document = ask.document(ask.enclave()["enclave_id"])
    attested(kms, document)
    ask("PUT", "/clock", {"of": "kms", "offset_seconds": 301})
    with pytest.raises(ClientError, match=r"document\.age"):
        attested(kms, document)
    ask("PUT", "/clock", {"of": "enclaves", "offset_seconds": 301})
    attested(kms, ask.document(ask.enclave()["enclave_id"]))


def test_enclaves_cannot_be_asked_once_their_clock_has_left_the_root(
    ask: Client, managed: Managed
) -> None:
    enclave = ask.enclave()
    managed.enclave_clock.pass_time(60 * 366 * 86400)
    assert "can issue from" in ask("POST", "/enclaves").refusal(409)
    request = cbor2.dumps({"Attestation": {}})
    refused = ask("POST", f"/enclaves/{enclave['enclave_id']}/nsm", request).refusal(409)
    assert "can issue from" in refused


def test_calls_tell_who_asked_what_and_what_became_of_it(ask: Client, kms: Any) -> None:
    enclave = ask.enclave(pcrs={"0": ONE}, role_arn=ROLE)
    document = ask.document(enclave["enclave_id"])
    attested(kms, document)
    with pytest.raises(ClientError, match=r"document\.signature"):
        attested(kms, document[:-1] + bytes([document[-1] ^ 1]))
    answered = ask("GET", "/calls")
    calls = answered.lines()
    assert answered.headers["x-attested-kms-dropped-calls"] == "0"
    operations = ["CreateKey", "Encrypt", "Decrypt"]
    assert [call["operation"] for call in calls] == operations * 2
    good, bad = calls[2], calls[5]
    assert good["caller"].endswith(":assumed-role/EnclaveInstance/i-0a1b2c3d4e5f60718")
    assert (good["access_key"], good["source_address"]) == ("PARENTINSTANCE", "127.0.0.1")
    assert good["user_agent"].startswith("Boto3/")
    sent = good["members"]["Recipient"]["AttestationDocument"]
    assert base64.b64decode(sent) == document
    assert good["document"]["module_id"] == enclave["module_id"]
    assert good["document"]["pcrs"] == enclave["pcrs"]
    assert good["refused"] is None
    assert bad["refused"]["rule"] == "document.signature"
    assert bad["refused"]["evidence"] == {
        "type": "reported",
        "text": "unknown",
        "order": "inferred",
    }
    assert bad["document"]["pcrs"] == enclave["pcrs"]
    assert ask("DELETE", "/calls").status == 204
    assert ask("GET", "/calls").lines() == []


def test_cloudtrail_is_of_the_same_calls(ask: Client, kms: Any) -> None:
    enclave = ask.enclave(pcrs={"0": ONE})
    attested(kms, ask.document(enclave["enclave_id"]))
    (event,) = ask("GET", "/cloudtrail").lines()
    call = ask("GET", "/calls").lines()[-1]
    assert (event["eventName"], event["requestID"]) == ("Decrypt", call["request_id"])
    recipient = event["additionalEventData"]["recipient"]
    digest = recipient["attestationDocumentEnclaveImageDigest"]
    assert base64.b64decode(digest).hex() == ONE
    assert recipient["attestationDocumentModuleId"] == enclave["module_id"]


def test_rules_are_the_table_and_the_others(ask: Client) -> None:
    rows = ask("GET", "/rules").json()
    assert [row["id"] for row in rows] == list(ROWS)
    by_id = {row["id"]: row for row in rows}
    assert by_id["public-key.missing"] == {
        "id": "public-key.missing",
        "operations": ["Decrypt", "GenerateDataKey"],
        "rule_sets": ["aws", "field-notes"],
        "exception": "ValidationException",
        "http_status": 400,
        "text": "You must specify a recipient public key in this request.",
        "evidence": {"type": "reported", "text": "reported", "order": "inferred"},
        "source": "field notes, bug 8.2; that an empty public_key counts as none is inferred",
    }
    assert by_id["http.timeout"]["http_status"] == 408
    assert by_id["http.timeout"]["operations"] is None


def test_a_mistake_of_ours_does_not_end_the_listener(
    ask: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(management, "catalogue", Mock(side_effect=RuntimeError("broken")))
    assert "its own output says where" in ask("GET", "/rules").refusal(500)
    assert "RuntimeError: broken" in capsys.readouterr().err
    monkeypatch.undo()
    assert ask("GET", "/rules").status == 200
