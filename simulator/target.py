"""The simulator as a target of the scenario suite: both fakes, and the workload's real processes.

The fake NSM and the KMS fake run in this process, behind a Unix socket and an HTTP server; the
enclave program and the host proxy are processes of their own that find each other in the fabric.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import boto3
import cbor2
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from moto.core import DEFAULT_ACCOUNT_ID

from kms_fake import KmsFake, RuleSet, serving
from kms_fake.callers import Caller, default_principal, identity_of_policies
from kms_fake.roots import root_from_der
from nsm_fake import EnclaveIdentity, NitroSecurityModule, NsmPki, NsmSocketServer
from scenarios.target import (
    Capability,
    FreshInstance,
    KmsError,
    Members,
    NotSent,
    ParentInstance,
    RawAnswer,
    Result,
    Statement,
    TargetUnavailable,
)
from scenarios.target_parts import (
    ProgramEnclave,
    ask,
    kept_raw,
    key_policy,
    policy_text,
    send_as_it_stands,
)
from scenarios.workload import frames, messages
from scenarios.workload.transport import FABRIC_ENCLAVE_CID, PARENT_CID
from simulator.clock import SimulatedClock
from simulator.environment import away_from_aws
from simulator.fabric import Fabric, temporary_fabric
from simulator.fresh_instance_target import FreshInstances
from simulator.interpose.plan import Role, Rung
from simulator.interpose.probe import NoRung, probe
from simulator.interpose.run import Handle, Options
from simulator.management import Managed, managing
from simulator.parent_target import ParentInstances
from simulator.processes import Program, SupervisedProgram, WorkloadProgram

REGION = "us-east-1"
CONTROL_PORT = 5000
PROXY_PORT = 8000

_ANSWER_SECONDS = 60.0
_PARENT_CREDENTIALS = {
    # moto's IAM does not know this key, so it is the parent instance's role.
    "aws_access_key_id": "PARENTINSTANCE",
    "aws_secret_access_key": "any",
}


def kms_client(endpoint: str) -> Any:
    """A boto3 client of the parent instance's role at `endpoint`. One attempt, no retries."""
    return boto3.client(
        "kms",
        region_name=REGION,
        endpoint_url=endpoint,
        config=Config(retries={"total_max_attempts": 1}),
        **_PARENT_CREDENTIALS,
    )


def kms_error(fake: KmsFake, code: str, message: str, http_status: int) -> KmsError:
    """The refusal as it came, with the rule if it is the last one that `fake` gave."""
    last = fake.last_refusal
    ours = last is not None and (last.exception, last.message) == (code, message)
    return KmsError(code, message, http_status, rule=last.rule if last and ours else None)


class SimulatedKms:
    """KMS as the parent instance reaches it, over HTTP."""

    def __init__(self, endpoint: str, fake: KmsFake) -> None:
        self.client = kms_client(endpoint)
        self._fake = fake

    def call(self, operation: str, members: Members) -> Result | KmsError:
        """Send one request by boto3, exactly as given. Raises NotSent if boto3 does not."""
        try:
            return Result(ask(self.client, operation, members))
        except ParamValidationError as error:
            raise NotSent(str(error)) from error
        except ClientError as error:
            return self._error(error)

    def send(self, operation: str, members: Mapping[str, Any]) -> Result | KmsError:
        """Send the JSON of `members` as it stands, instead of what boto3 would have made."""
        try:
            return Result(send_as_it_stands(self.client, operation, members))
        except ClientError as error:
            return self._error(error)

    def raw(self, operation: str, members: Members) -> RawAnswer:
        """Send as `call` does, and give the answer as it came."""
        came: list[RawAnswer] = []
        with kept_raw(self.client, operation, came.append):
            answer = self.call(operation, members)
        return replace(came[-1], rule=answer.rule if isinstance(answer, KmsError) else None)

    def _error(self, error: ClientError) -> KmsError:
        details = error.response
        return kms_error(
            self._fake,
            details["Error"]["Code"],
            details["Error"]["Message"],
            details["ResponseMetadata"]["HTTPStatusCode"],
        )


@dataclass(frozen=True, slots=True)
class SimulatedKey:
    """A key in moto."""

    arn: str
    _client: Any

    def encrypt(self, plaintext: bytes, context: Mapping[str, str] | None = None) -> bytes:
        """A CiphertextBlob of `plaintext`."""
        blob: bytes = self._client.encrypt(
            KeyId=self.arn, Plaintext=plaintext, EncryptionContext=dict(context or {})
        )["CiphertextBlob"]
        return blob

    def disable(self) -> None:
        """Disable the key."""
        self._client.disable_key(KeyId=self.arn.rpartition("/")[2])  # moto fails on the ARN.


class SimulatedEnclave(ProgramEnclave):
    """The enclave program, spoken to through its control port."""

    def __init__(self, fabric: Fabric, fake: KmsFake, *, debug: bool) -> None:
        self._fabric = fabric
        self._fake = fake
        self.debug = debug

    def _refusal(self, error: messages.AnswerError) -> KmsError:
        if error.kind is not messages.Kind.KMS or error.http_status is None:
            raise error
        return kms_error(self._fake, error.code, error.message, error.http_status)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._fabric.socket(FABRIC_ENCLAVE_CID, CONTROL_PORT)))
            frames.send(connection, frames.encode({"version": messages.VERSION, **request}))
            answer = frames.receive(connection, wait_seconds=_ANSWER_SECONDS)
        if answer is None:
            raise ConnectionError("the enclave program closed the connection without an answer")
        return messages.result_of(answer)


@dataclass(frozen=True, slots=True)
class Transport:
    """How the workload's programs reach the NSM and each other.

    Without `rung` by Unix sockets, as ATTESTED_KMS_FABRIC tells them, on every system. With one as
    on hardware, by /dev/nsm and AF_VSOCK, under the supervisor.
    """

    rung: Rung | None
    words: str


def transport_named(name: str) -> Transport:
    """The transport `fabric`, `supervised`, `open-trap`, or `auto`: supervised where that works.

    Raises TargetUnavailable.
    """
    fabric = "Unix sockets of the fabric"
    if name == "fabric":
        return Transport(None, fabric)
    try:
        rung = probe().choose(isolate=False if name == "open-trap" else None)
    except NoRung as error:
        if name == "auto":
            return Transport(None, f"{fabric}: {str(error).removesuffix('.')}")
        raise TargetUnavailable(f"The workload cannot be supervised: {error}") from error
    return Transport(rung, f"/dev/nsm and AF_VSOCK under the supervisor, by {rung.value}")


class SimulatorTarget:
    """A parent instance made of fakes. Use as a context manager, or `close` it.

    Until then the AWS variables and proxies of this process are put aside. `transport` is as
    `transport_named` takes it. Raises TargetUnavailable.
    """

    name = "simulator"
    role_arn = default_principal(DEFAULT_ACCOUNT_ID).principal_arn
    account_root = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:root"

    def __init__(self, transport: str = "fabric") -> None:
        self._transport = transport_named(transport)
        self.stands_on = self._transport.words
        self._stack = ExitStack()
        self._enclave_stack = ExitStack()
        self._enclave: SimulatedEnclave | None = None
        self.clock = SimulatedClock()
        self.pki = NsmPki()
        root = root_from_der(self.pki.root_certificate_der)
        self.fake = KmsFake([root], clock=self.clock)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        self._stack.enter_context(away_from_aws())
        server = self._stack.enter_context(serving(self.fake))
        self.kms = SimulatedKms(server.endpoint, self.fake)
        self._stack.callback(self.kms.client.close)
        managed = Managed(self.fake, self.clock, self.pki, enclave_clock=self.clock)
        managed.server = {
            "kms_endpoint": server.endpoint,
            "region": REGION,
            "account": DEFAULT_ACCOUNT_ID,
        }
        management = self._stack.enter_context(managing(managed))
        self._parents = ParentInstances(server=management.endpoint, role_arn=self.role_arn)
        self._stack.callback(self._parents.close)
        self._fresh = FreshInstances(server=management.endpoint, role_arn=self.role_arn)
        self._stack.callback(self._fresh.close)
        self._fabric = self._stack.enter_context(temporary_fabric())
        proxy = self._program(
            "scenarios.workload.kms_proxy_host",
            ["--port", str(PROXY_PORT), "--region", REGION, "--endpoint-url", server.endpoint],
            {
                "AWS_ACCESS_KEY_ID": _PARENT_CREDENTIALS["aws_access_key_id"],
                "AWS_SECRET_ACCESS_KEY": _PARENT_CREDENTIALS["aws_secret_access_key"],
            },
        )
        self._stack.callback(proxy.close)
        # The enclave boots while the proxy starts; it dials the proxy only when told to.
        self._enclave = self._boot(debug=False)
        proxy.wait_until_ready()

    @property
    def provenance(self) -> Mapping[str, str]:
        """The region and the simulator's own root: nothing here is hardware."""
        root = hashlib.sha256(self.pki.root_certificate_der).hexdigest()
        return {"region": REGION, "root_sha256": root}

    @cached_property
    def capabilities(self) -> frozenset[Capability]:
        """Those that this machine allows: not every one lets an enclave have a root of its own."""
        return frozenset(Capability).difference(self._lacking())

    def _lacking(self) -> Iterator[Capability]:
        try:
            probe().choose_for_boot()
        except NoRung:
            yield Capability.PARENT_INSTANCE
        if not self._fresh.can_be():
            yield from (Capability.FRESH_INSTANCE, Capability.SYSTEMS_MANAGER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes and the servers and remove the fabric."""
        self._enclave_stack.close()
        self._stack.close()

    def enclave(self, *, debug: bool = False) -> SimulatedEnclave:
        """The live enclave, booted anew where the mode differs."""
        if self._enclave is None or self._enclave.debug != debug:
            self._enclave = self._boot(debug=debug)
        return self._enclave

    def _boot(self, *, debug: bool) -> SimulatedEnclave:
        self._enclave_stack.close()
        self._enclave = None
        identity = EnclaveIdentity.create(
            clock=self.clock,
            label="scenarios",
            role_arn=self.role_arn,
            region=REGION,
            debug_mode=debug,
        )
        module = NitroSecurityModule(identity, self.pki, self.clock)
        stack = self._enclave_stack
        if self._transport.rung is None:
            stack.enter_context(NsmSocketServer(module.handle, self._fabric.nsm_socket))
        program = self._program(
            "scenarios.workload.enclave",
            ["--control-port", str(CONTROL_PORT), "--proxy-port", str(PROXY_PORT)],
            {},
            module.handle,
        )
        stack.callback(program.close)
        program.wait_until_ready()
        return SimulatedEnclave(self._fabric, self.fake, debug=debug)

    def _program(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        handle: Handle | None = None,
    ) -> WorkloadProgram:
        """Start a program of the enclave's, whose NSM is `handle`, or without one the parent's."""
        rung = self._transport.rung
        if rung is None:
            return Program(module, arguments, {**self._fabric.environment, **environment})
        if handle is None:
            side = Options(
                fabric=self._fabric.folder,
                rung=Rung.OPEN_TRAP,
                cid=PARENT_CID,
                role=Role.PARENT,
            )
        else:
            side = Options(fabric=self._fabric.folder, rung=rung, cid=FABRIC_ENCLAVE_CID)
        return SupervisedProgram(module, arguments, environment, handle=handle, options=side)

    def key(self, statements: Sequence[Statement]) -> SimulatedKey:
        """A new key with the administrator statement and `statements`."""
        policy = key_policy(self.account_root, statements)
        metadata = self.kms.client.create_key(Policy=policy)["KeyMetadata"]
        return SimulatedKey(metadata["Arn"], self.kms.client)

    def parent_instance(self) -> AbstractContextManager[ParentInstance]:
        """The target's parent instance, without an enclave."""
        return self._parents.parent_instance()

    def fresh_instance(self, *, with_rustup: bool = False) -> AbstractContextManager[FreshInstance]:
        """A bare machine of its own."""
        return self._fresh.fresh_instance(with_rustup=with_rustup)

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass for the NSM and for KMS."""
        self.clock.pass_time(seconds)

    def foreign_document(self, *, pcrs: Mapping[int, str]) -> bytes:
        """A well-made document with these PCR0, 1 and 2, under the root of another PKI."""
        identity = EnclaveIdentity.create(
            clock=self.clock,
            pcr0=bytes.fromhex(pcrs[0]),
            pcr1=bytes.fromhex(pcrs[1]),
            pcr2=bytes.fromhex(pcrs[2]),
            role_arn=self.role_arn,
        )
        module = NitroSecurityModule(identity, NsmPki(), self.clock)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        options = {"user_data": None, "nonce": None, "public_key": spki}
        answer = cbor2.loads(module.handle(cbor2.dumps({"Attestation": options})))
        document: bytes = answer["Attestation"]["document"]
        return document

    @contextmanager
    def rule_set(self, name: str) -> Iterator[None]:
        """Within the context KMS follows the rule set `name`."""
        before = self.fake.settings
        self.fake.settings = replace(before, rule_set=RuleSet(name))
        try:
            yield
        finally:
            self.fake.settings = before

    @contextmanager
    def identity_policy(self, statements: Sequence[Statement]) -> Iterator[None]:
        """Within the context IAM allows the parent instance's role exactly `statements`."""
        before = self.fake.default_caller
        self.fake.default_caller = Caller(
            default_principal(DEFAULT_ACCOUNT_ID),
            identity_of_policies([policy_text(statements)] if statements else []),
        )
        try:
            yield
        finally:
            self.fake.default_caller = before
