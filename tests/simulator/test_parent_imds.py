"""The metadata service: by HTTP as it comes over vsock, by botocore's own fetcher, and at KMS."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.utils import InstanceMetadataFetcher, InstanceMetadataRegionFetcher

from kms_fake import serving
from kms_fake.callers import default_caller, identity_of_policies
from simulator.clock import SimulatedClock
from simulator.environment import away_from_aws
from simulator.fabric import temporary_fabric
from simulator.parent_services.imds import BadInstance, Credentials, Imds, Instance, serving_imds
from simulator.parent_services.listener import CannotListen
from tests.kms_fake import world
from tests.simulator.parent_world import TIMEOUT, bridge, has_ended, nothing_left, unix_client

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service/Parent"
INSTANCE = Instance(
    role_arn=ROLE, instance_id="i-0123456789abcdef0", region="eu-west-1", account=ACCOUNT
)
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/Parent/i-0123456789abcdef0"
ROLES = "/latest/meta-data/iam/security-credentials/"
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"  # noqa: S105  # A header's name.


class Answer(NamedTuple):
    status: int
    text: str
    headers: Message


@pytest.fixture
def path() -> Iterator[Path]:
    with temporary_fabric() as fabric:
        yield fabric.socket(3, 8080)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def service(path: Path, clock: SimulatedClock) -> Iterator[Imds]:
    with serving_imds(path, INSTANCE, clock=clock) as imds:
        yield imds


@pytest.fixture
def connection(service: Imds, path: Path) -> Iterator[http.client.HTTPConnection]:
    """One keep-alive connection for all requests of a test."""
    del service
    made = http.client.HTTPConnection("169.254.169.254", timeout=TIMEOUT)
    made.sock = unix_client(path)
    made.auto_open = 0
    with closing(made):
        yield made


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Mapping[str, str] = {},
    body: bytes | None = None,
) -> Answer:
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    return Answer(response.status, response.read().decode(), response.headers)


def new_token(connection: http.client.HTTPConnection, seconds: int = 21600) -> str:
    answer = ask(connection, "PUT", "/latest/api/token", {TTL: str(seconds)})
    assert answer.status == 200
    return answer.text


def get(connection: http.client.HTTPConnection, path: str) -> Answer:
    return ask(connection, "GET", path, {TOKEN: new_token(connection)})


@pytest.mark.parametrize("seconds", ["1", "60", "21600"])
def test_a_token(connection: http.client.HTTPConnection, seconds: str) -> None:
    answer = ask(connection, "PUT", "/latest/api/token", {TTL.lower(): seconds})
    assert answer.status == 200
    assert re.fullmatch("[A-Za-z0-9_-]{54}==", answer.text)
    assert answer.headers[TTL] == seconds
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Server"] == "EC2ws"
    assert ask(connection, "PUT", "/latest/api/token", {TTL: seconds}).text != answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        *({TTL: ttl} for ttl in ("", "0", "21601", "-1", "+5", "1.5", "ten", "1e3", " ", "60s")),
        {TTL: "9" * 5000},
        {"X-aws-ec2-metadata-token-ttl": "60"},
    ],
    ids=str,
)
def test_a_token_without_a_time_it_can_have(
    connection: http.client.HTTPConnection, headers: Mapping[str, str]
) -> None:
    answer = ask(connection, "PUT", "/latest/api/token", headers)
    assert answer.status == 400
    assert "400 - Bad Request" in answer.text


@pytest.mark.parametrize(
    ("method", "asked", "headers", "status"),
    [
        ("PUT", "/latest/api/token", {TTL: "60", "X-Forwarded-For": "192.0.2.1"}, 403),
        ("PUT", "/2009-04-04/api/token", {TTL: "60"}, 403),
        ("PUT", "/latest/meta-data/instance-id", {TTL: "60"}, 405),
        ("GET", "/latest/api/token", {}, 405),
        ("POST", "/latest/api/token", {TTL: "60"}, 405),
        ("DELETE", "/latest/meta-data/instance-id", {}, 405),
    ],
)
def test_requests_that_are_not_taken(
    connection: http.client.HTTPConnection,
    method: str,
    asked: str,
    headers: Mapping[str, str],
    status: int,
) -> None:
    assert ask(connection, method, asked, headers).status == status


@pytest.mark.parametrize("asked", ["/latest/meta-data/instance-id", ROLES, "/nothing/here"])
@pytest.mark.parametrize("given", [None, "", "x", "A" * 54 + "==", "é", "%s!", "%s%s", " "])
def test_metadata_without_its_token(
    connection: http.client.HTTPConnection, asked: str, given: str | None
) -> None:
    token = new_token(connection)
    headers = {} if given is None else {TOKEN: given.replace("%s", token)}
    answer = ask(connection, "GET", asked, headers)
    assert answer.status == 401
    assert "401 - Unauthorized" in answer.text


def test_another_instances_token_is_refused(
    connection: http.client.HTTPConnection, path: Path
) -> None:
    other = path.with_name("3_8081.sock")
    with serving_imds(other, INSTANCE), unix_client(other) as client:
        stranger = http.client.HTTPConnection("169.254.169.254")
        stranger.sock = client
        token = new_token(stranger)
        stranger.close()
    assert ask(connection, "GET", ROLES, {TOKEN: token}).status == 401


def test_a_token_ends_with_its_time(
    connection: http.client.HTTPConnection, clock: SimulatedClock
) -> None:
    token = new_token(connection, 3600)
    clock.pass_time(3500)
    assert ask(connection, "GET", ROLES, {TOKEN: token}).status == 200
    clock.pass_time(100)
    assert ask(connection, "GET", ROLES, {TOKEN: token}).status == 401
    assert get(connection, ROLES).status == 200


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ("/latest/meta-data/instance-id", "i-0123456789abcdef0"),
        ("/latest/meta-data/placement/region", "eu-west-1"),
        ("/latest/meta-data/placement/availability-zone", "eu-west-1a"),
        ("/latest/meta-data/placement/availability-zone/", "eu-west-1a"),
        (ROLES, "Parent"),
        (ROLES.rstrip("/"), "Parent"),
        (f"{ROLES}?recursive=true", "Parent"),
    ],
)
def test_metadata(connection: http.client.HTTPConnection, asked: str, value: str) -> None:
    answer = get(connection, asked)
    assert (answer.status, answer.text) == (200, value)
    assert answer.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    "asked",
    [
        *("/", "/latest", "/latest/", "/latest/meta-data/", "/latest/user-data"),
        *(f"{ROLES}Other", f"{ROLES}Parent/x", f"{ROLES}../Parent", "/latest//meta-data/region"),
        "/latest/meta-data/iam/security-credentials-extended/",
        "/2021-07-15/meta-data/instance-id",
    ],
)
def test_other_paths(connection: http.client.HTTPConnection, asked: str) -> None:
    answer = get(connection, asked)
    assert answer.status == 404
    assert "404 - Not Found" in answer.text


def test_the_credentials(
    connection: http.client.HTTPConnection, service: Imds, clock: SimulatedClock
) -> None:
    answer = get(connection, f"{ROLES}Parent")
    assert answer.text.startswith('{\n  "Code" : "Success",\n  "LastUpdated" : "')
    first = json.loads(answer.text)
    assert list(first) == [
        *("Code", "LastUpdated", "Type", "AccessKeyId", "SecretAccessKey", "Token", "Expiration")
    ]
    assert (first["Code"], first["Type"]) == ("Success", "AWS-HMAC")
    assert first["AccessKeyId"] == service.credentials.access_key_id
    assert re.fullmatch("ASIA[A-Z2-7]{16}", first["AccessKeyId"])
    assert re.fullmatch("[A-Za-z0-9/+]{40}", first["SecretAccessKey"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first["Expiration"])
    clock.pass_time(3 * 3600)
    second = json.loads(get(connection, f"{ROLES}Parent").text)
    assert second["Expiration"] > first["Expiration"]
    assert second["AccessKeyId"] == first["AccessKeyId"]
    assert first["SecretAccessKey"] not in repr(service.credentials)


def test_the_identity_document(connection: http.client.HTTPConnection) -> None:
    document = json.loads(get(connection, "/latest/dynamic/instance-identity/document").text)
    assert document["accountId"] == ACCOUNT
    assert document["region"] == "eu-west-1"
    assert document["availabilityZone"] == "eu-west-1a"
    assert document["instanceId"] == "i-0123456789abcdef0"
    assert document["billingProducts"] is None
    assert document["version"] == "2017-09-30"


def test_only_the_headers_are_sent_for_head(connection: http.client.HTTPConnection) -> None:
    answer = ask(connection, "HEAD", ROLES, {TOKEN: new_token(connection)})
    assert (answer.status, answer.text, answer.headers["Content-Length"]) == (200, "", "6")


def test_a_body_is_read_over(connection: http.client.HTTPConnection) -> None:
    assert (
        ask(connection, "PUT", "/latest/api/token", {TTL: "60"}, b"PUT / x\r\n\r\n").status == 200
    )
    assert get(connection, ROLES).status == 200


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /latest HTTP/9.9\r\n\r\n", 505),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"PUT /latest/api/token HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"PUT /latest/api/token HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_answered_and_the_connection_closed(
    service: Imds, path: Path, said: bytes, status: int
) -> None:
    del service
    with unix_client(path) as client:
        client.sendall(said)
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == status
        assert response.getheader("Connection") == "close"
        response.read()
        assert has_ended(client)


def test_the_end_of_the_service_ends_connections(path: Path) -> None:
    with nothing_left():
        with serving_imds(path, INSTANCE):
            silent, half = unix_client(path), unix_client(path)
            half.sendall(b"GET /latest HT")
        for client in (silent, half):
            assert has_ended(client)
            client.close()
        assert not path.exists()


def test_clients_that_leave_harm_nobody(path: Path) -> None:
    with serving_imds(path, INSTANCE):
        for _ in range(20):
            with unix_client(path) as client:
                client.sendall(b"PUT /latest/api/token HTTP/1.1\r\n\r\n" * 20)
                client.shutdown(socket.SHUT_RD)


def test_an_address_in_use(path: Path) -> None:
    with serving_imds(path, INSTANCE), pytest.raises(CannotListen), serving_imds(path, INSTANCE):
        pass


@pytest.mark.parametrize(
    ("role", "account", "problem"),
    [
        ("Parent", ACCOUNT, "Parent is the ARN of no caller"),
        (f"arn:aws:iam::{ACCOUNT}:user/U", ACCOUNT, "is no role; give one, arn:aws:iam::123"),
        (SESSION, ACCOUNT, "is no role"),
        (ROLE, "210987654321", "is of another account than the instance"),
    ],
)
def test_an_instance_that_cannot_be(role: str, account: str, problem: str) -> None:
    with pytest.raises(BadInstance, match=problem):
        Instance(role_arn=role, account=account)


# botocore's own reader of the service.


@contextmanager
def fetching(path: Path) -> Iterator[dict[str, Any]]:
    """What botocore's fetchers are made with; they are closed at the end."""
    with away_from_aws(), bridge(path) as address:
        yield {"base_url": f"http://{address}/", "timeout": TIMEOUT, "env": {}}


def test_botocore_finds_credentials_and_region(path: Path) -> None:
    with serving_imds(path, INSTANCE) as imds, fetching(path) as options:
        fetcher = InstanceMetadataFetcher(**options, config={"ec2_metadata_v1_disabled": True})
        found = fetcher.retrieve_iam_role_credentials()
        fetcher._session.close()
        assert found["role_name"] == "Parent"
        assert found["access_key"] == imds.credentials.access_key_id
        assert found["secret_key"] == imds.credentials.secret_access_key
        assert found["token"] == imds.credentials.session_token
        regions = InstanceMetadataRegionFetcher(**options)
        assert regions.retrieve_region() == "eu-west-1"
        regions._session.close()


# KMS, to which the credentials are the role.


def client(service: str, endpoint: str, credentials: Credentials) -> Any:
    return boto3.client(
        service,
        region_name="eu-west-1",
        endpoint_url=endpoint,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
    )


def test_kms_and_sts_know_the_role_by_its_access_key(path: Path) -> None:
    fake = world.fake()
    allowed = '{"Statement": {"Effect": "Allow", "Action": "kms:DescribeKey", "Resource": "*"}}'
    with away_from_aws(), serving(fake) as server, serving_imds(path, INSTANCE) as imds:
        fake.callers = imds.callers(identity_of_policies([allowed]))
        with closing(client("sts", server.endpoint, imds.credentials)) as sts:
            assert sts.get_caller_identity()["Arn"] == SESSION
        with closing(client("kms", server.endpoint, imds.credentials)) as kms:
            key = kms.create_key()["KeyMetadata"]
            with pytest.raises(ClientError, match=rf"User: {SESSION} is not authorized to perform"):
                kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256")
            assert key["AWSAccountId"] == ACCOUNT
            fake.callers = imds.callers()
            assert kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256")["Plaintext"]


def test_without_more_ado_the_credentials_are_the_fakes_default_caller(path: Path) -> None:
    fake = world.fake()
    with serving_imds(path, Instance.default()) as imds:
        (key,) = imds.callers()
        assert fake.caller(key) == default_caller(fake.account)
        ours = imds.callers()[key]
    usual = default_caller(fake.account)
    assert ours.principal == usual.principal
    assert ours.identity == usual.identity
    assert dict(ours.context) == {**usual.context, "ec2:RoleDelivery": ("2.0",)}


def test_the_caller_brings_its_conditions() -> None:
    caller = INSTANCE.caller()
    assert (caller.principal.arn, caller.principal.principal_arn) == (SESSION, ROLE)
    (who,) = caller.context["aws:userid"]
    assert re.fullmatch("AROA[A-Z2-7]{17}:i-0123456789abcdef0", who)
    assert caller.context["ec2:SourceInstanceArn"] == (
        f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-0123456789abcdef0",
    )


def test_credentials_may_be_those_of_an_assumed_role(path: Path) -> None:
    """STS of the fake makes them; then moto's IAM says what the role may do."""
    fake = world.fake()
    fake.account = ACCOUNT
    with away_from_aws(), serving(fake) as server:
        with closing(client("sts", server.endpoint, Credentials.create())) as sts:
            made = sts.assume_role(RoleArn=ROLE, RoleSessionName=INSTANCE.instance_id)
        given = Credentials(
            made["Credentials"]["AccessKeyId"],
            made["Credentials"]["SecretAccessKey"],
            made["Credentials"]["SessionToken"],
        )
        with serving_imds(path, INSTANCE, credentials=given), fetching(path) as options:
            fetcher = InstanceMetadataFetcher(**options)
            assert fetcher.retrieve_iam_role_credentials()["access_key"] == given.access_key_id
            fetcher._session.close()
        with closing(client("sts", server.endpoint, given)) as sts:
            assert sts.get_caller_identity()["Arn"] == SESSION
