"""The instance metadata service of the parent, version 2, with the credentials of its role.

Source unless another is named: "Use the Instance Metadata Service to access instance metadata" and
"Retrieve security credentials from instance metadata" (Amazon EC2 User Guide, documented). Tokens
are required, as on an instance whose `HttpTokens` is `required`. Served are the paths of `Imds`;
there are hundreds more on EC2, which are 404 here. The hop limit is not simulated.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import re
import secrets
import socket
import string
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition

from kms_fake.authorization import IdentityPermissions
from kms_fake.caller_arns import NoCaller, principal_of_arn
from kms_fake.callers import DEFAULT_INSTANCE_ID, Caller, default_caller, default_principal
from kms_fake.fake import DEFAULT_REGION, Clock, system_clock
from kms_fake.http_server import Answer
from kms_fake.sts_front import user_id
from simulator.parent_services.listener import Stop, listening

TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105  # A header's name.
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"

_LONGEST_TTL = 21_600
"""Seconds: six hours."""
_CREDENTIALS_LIFETIME_MS = 6 * 3_600_000
# Measured clients renew well before the end; EC2 has new times about every hour (inferred).
_RENEWAL_MS = 3_600_000


class BadInstance(ValueError):
    """No instance is like this; the message is a sentence that says what to give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The parent instance. Raises BadInstance."""

    role_arn: str
    """Of the role in its instance profile: `arn:aws:iam::ACCOUNT:role/[PATH/]NAME`."""
    instance_id: str = DEFAULT_INSTANCE_ID
    region: str = DEFAULT_REGION
    account: str = DEFAULT_ACCOUNT_ID
    availability_zone: str = ""
    """Empty for the first one of the Region."""
    instance_type: str = "m6i.xlarge"
    architecture: str = "x86_64"
    image_id: str = "ami-0a1b2c3d4e5f60718"
    private_ip: str = "10.0.0.10"

    def __post_init__(self) -> None:
        try:
            account = principal_of_arn(self.role_arn).account
        except NoCaller as error:
            raise BadInstance(f"{error}.") from error
        if ":role/" not in self.role_arn:
            raise BadInstance(
                f"{self.role_arn} is no role; give one, arn:aws:iam::{self.account}:role/NAME."
            )
        if account != self.account:
            raise BadInstance(
                f"The role {self.role_arn} is of another account than the instance "
                f"({self.account}); an instance profile takes a role of its own account."
            )

    @classmethod
    def default(cls, account: str = DEFAULT_ACCOUNT_ID, region: str = DEFAULT_REGION) -> Instance:
        """The one whose role calls KMS with an access key that nobody knows."""
        principal = default_principal(account, region)
        return cls(role_arn=principal.principal_arn, account=account, region=region)

    @property
    def role_name(self) -> str:
        """The role's name, without its path."""
        return self.role_arn.rsplit("/", 1)[-1]

    @property
    def zone(self) -> str:
        """The Availability Zone."""
        return self.availability_zone or f"{self.region}a"

    def caller(self, identity: IdentityPermissions | None = None) -> Caller:
        """Who calls KMS with the role's credentials: a session that is named by the instance id.

        `identity` are the role's policies; by default they allow everything of KMS. With the
        caller come aws:userid, ec2:SourceInstanceArn and ec2:RoleDelivery, which is 2.0 for
        credentials of IMDSv2 ("Actions, resources, and condition keys for Amazon EC2").
        """
        principal = principal_of_arn(self.role_arn, session_name=self.instance_id)
        usual = default_caller(self.account, self.region)
        # The default role keeps its id, whoever asks for it.
        who = usual.context["aws:userid"][0] if principal == usual.principal else user_id(principal)
        arn = f"arn:{get_partition(self.region)}:ec2:{self.region}:{self.account}:instance"
        return Caller(
            principal,
            identity or IdentityPermissions.all_of_kms(),
            context={
                "aws:userid": (who,),
                "ec2:SourceInstanceArn": (f"{arn}/{self.instance_id}",),
                "ec2:RoleDelivery": ("2.0",),
            },
        )


@dataclass(frozen=True, slots=True)
class Credentials:
    """Those of a role. KMS's fake knows a caller by the access key and checks no signature."""

    access_key_id: str
    """`ASIA` and 16 more of A-Z and 2-7."""
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)

    @classmethod
    def create(cls) -> Credentials:
        """New ones, which moto never made."""
        alphabet = string.ascii_uppercase + "234567"
        return cls(
            "ASIA" + "".join(secrets.choice(alphabet) for _ in range(16)),
            base64.b64encode(secrets.token_bytes(30)).decode(),
            base64.b64encode(b"attested-kms simulator " + secrets.token_bytes(200)).decode(),
        )


class Imds:
    """What the service answers, without HTTP. Thread-safe.

    The credentials stay the same ones; their times move on, six hours ahead and renewed each hour
    (on EC2 the keys are new as well).
    """

    def __init__(self, instance: Instance, credentials: Credentials, clock: Clock) -> None:
        self.instance = instance
        self.credentials = credentials
        self._clock = clock
        self._begun_ms = clock()
        self._secret = secrets.token_bytes(32)
        self._paths: dict[str, Callable[[], str]] = {
            "/latest/meta-data/instance-id": lambda: instance.instance_id,
            "/latest/meta-data/placement/region": lambda: instance.region,
            "/latest/meta-data/placement/availability-zone": lambda: instance.zone,
            "/latest/meta-data/iam/security-credentials": lambda: instance.role_name,
            f"/latest/meta-data/iam/security-credentials/{instance.role_name}": self._credentials,
            "/latest/dynamic/instance-identity/document": self._document,
        }

    def callers(self, identity: IdentityPermissions | None = None) -> dict[str, Caller]:
        """Who calls with these credentials, by access key, as `KmsFake.callers` takes it.

        `identity` as in `Instance.caller`. Without it an access key that moto does not know is
        the fake's default caller.
        """
        return {self.credentials.access_key_id: self.instance.caller(identity)}

    def put(self, path: str, headers: Message) -> Answer:
        """A token, for as many seconds as the header says; no other path takes a PUT.

        A version's own path is 403 (documented), and so is what a proxy passed on ("IMDSv2 ...
        X-Forwarded-For": no token documented, the status inferred).
        """
        if path != "/latest/api/token":
            versioned = path.endswith("/api/token")
            return _error(HTTPStatus.FORBIDDEN if versioned else HTTPStatus.METHOD_NOT_ALLOWED)
        if "X-Forwarded-For" in headers:
            return _error(HTTPStatus.FORBIDDEN)
        ttl = headers.get(TTL_HEADER, "")
        if not re.fullmatch("[0-9]{1,5}", ttl, re.ASCII) or not 1 <= int(ttl) <= _LONGEST_TTL:
            return _error(HTTPStatus.BAD_REQUEST)
        # Go's SDK reads the header of the answer too.
        return Answer(200, self._token(int(ttl)).encode(), {TTL_HEADER: ttl})

    def get(self, path: str, headers: Message) -> Answer:
        """The metadata at `path`, which may end in a slash (botocore's does); 401 without a token.

        That a token is asked for before the path is looked at is inferred.
        """
        if path == "/latest/api/token":
            return _error(HTTPStatus.METHOD_NOT_ALLOWED)
        if not self._is_valid(headers.get(TOKEN_HEADER, "")):
            return _error(HTTPStatus.UNAUTHORIZED)
        value = self._paths.get(path.removesuffix("/"))
        return _error(HTTPStatus.NOT_FOUND) if value is None else Answer(200, value().encode())

    def _token(self, ttl: int) -> str:
        """As long as EC2's, 56 characters. It carries its own end, so that none is kept here."""
        body = (self._clock() + 1000 * ttl).to_bytes(8) + secrets.token_bytes(12)
        return base64.urlsafe_b64encode(body + self._seal(body)).decode()

    def _is_valid(self, token: str) -> bool:
        try:
            data = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except ValueError:
            return False
        body, seal = data[:20], data[20:]
        whole = len(data) == 40 and hmac.compare_digest(seal, self._seal(body))
        return whole and self._clock() < int.from_bytes(body[:8])

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, hashlib.sha256)[:20]

    def _credentials(self) -> str:
        since = self._clock() - self._begun_ms
        updated = self._begun_ms + since // _RENEWAL_MS * _RENEWAL_MS
        return _json(
            {
                "Code": "Success",
                "LastUpdated": _time(updated),
                "Type": "AWS-HMAC",
                "AccessKeyId": self.credentials.access_key_id,
                "SecretAccessKey": self.credentials.secret_access_key,
                "Token": self.credentials.session_token,
                "Expiration": _time(updated + _CREDENTIALS_LIFETIME_MS),
            }
        )

    def _document(self) -> str:
        """The members of "Instance identity documents for Amazon EC2 instances"."""
        instance = self.instance
        return _json(
            {
                "accountId": instance.account,
                "architecture": instance.architecture,
                "availabilityZone": instance.zone,
                "billingProducts": None,
                "devpayProductCodes": None,
                "marketplaceProductCodes": None,
                "imageId": instance.image_id,
                "instanceId": instance.instance_id,
                "instanceType": instance.instance_type,
                "kernelId": None,
                "pendingTime": _time(self._begun_ms),
                "privateIp": instance.private_ip,
                "ramdiskId": None,
                "region": instance.region,
                "version": "2017-09-30",
            }
        )


@contextmanager
def serving_imds(
    path: Path,
    instance: Instance,
    *,
    credentials: Credentials | None = None,
    clock: Clock = system_clock,
) -> Iterator[Imds]:
    """The service at the Unix socket `path`, in plain HTTP/1.1 as at http://169.254.169.254.

    `credentials` may be ones that the STS of KMS's fake made; by default they are new, and whose
    they are `Imds.callers` tells the fake. Raises CannotListen.
    """
    imds = Imds(instance, credentials or Credentials.create(), clock)

    def serve(client: socket.socket, _: Stop) -> None:
        _Handler(client, imds)

    with listening(path, serve, f"imds-{path.stem}"):
        yield imds


class _Handler(BaseHTTPRequestHandler):
    """The requests of one connection, one after another."""

    protocol_version = "HTTP/1.1"

    def __init__(self, client: socket.socket, imds: Imds) -> None:
        self._imds = imds
        super().__init__(client, ("vsock", 0), None)  # type: ignore[arg-type]  # No server is asked.

    def do_PUT(self) -> None:  # http.server's name.
        """A token."""
        self._send(self._imds.put(self._asked(), self.headers))

    def do_GET(self) -> None:
        """Metadata."""
        self._send(self._imds.get(self._asked(), self.headers))

    def do_HEAD(self) -> None:
        """The headers of GET."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is not HTTP in the service's own words; then the connection is closed.

        Methods that are not known come here too, as not implemented: 405 (inferred).
        """
        del message, explain
        self.close_connection = True
        self.request_version = self.protocol_version  # Else there would be no headers.
        status = HTTPStatus(code)
        unknown = status is HTTPStatus.NOT_IMPLEMENTED
        self._send(_error(HTTPStatus.METHOD_NOT_ALLOWED if unknown else status))

    def version_string(self) -> str:
        """As EC2 calls itself (reported: transcripts of curl -v)."""
        return "EC2ws"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name.
        """Say nothing: nobody reads the service's log on EC2 either."""

    def _asked(self) -> str:
        """The path; what may come with it is read, so that the next request is found."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,5}", length, re.ASCII):
            self.close_connection = True
        else:
            self.rfile.read(int(length))
        return self.path.partition("?")[0]

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = {"Content-Type": "text/plain", **answer.headers}
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in {**headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


def _error(status: HTTPStatus) -> Answer:
    """A page of XHTML (reported: aws/amazon-ec2-metadata-mock, pkg/server/httpserver.go)."""
    title = f"{status.value} - {status.phrase}"
    text = (
        '<?xml version="1.0" encoding="iso-8859-1"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"\n'
        '\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n'
        f" <head>\n  <title>{title}</title>\n </head>\n"
        f" <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    )
    return Answer(status, text.encode(), {"Content-Type": "text/html"})


def _json(members: Mapping[str, str | None]) -> str:
    """As EC2 writes it, with spaces on both sides of a colon (documented by its examples)."""
    return json.dumps(members, indent=2, separators=(",", " : "))


def _time(time_ms: int) -> str:
    return dt.datetime.fromtimestamp(time_ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
