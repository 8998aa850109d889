"""A target without processes: answers as told, for tests of what watches and keeps.

It is copied into a folder of its own as a target's module too, so it imports the contract alone.
"""

# ruff: noqa: ARG002  # A stub answers whatever it is asked.
from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from scenarios.target import (
    Capability,
    Finished,
    FreshInstance,
    Invocation,
    Kms,
    KmsError,
    Members,
    NotSent,
    Opened,
    Opener,
    ParentInstance,
    PublicKeyForm,
    RawAnswer,
    RecipientMembers,
    Refused,
    Result,
    ServiceRefusal,
    Statement,
)

ARN = "arn:aws:kms:eu-central-1:123456789012:key/960930f7-63ae-4f4c-b853-62ad2bc73434"
ROLE = "arn:aws:iam::123456789012:role/host"
DENIED = f"User: arn:aws:sts::123456789012:assumed-role/host/i-0123456789abcdef0 on {ARN}"
SECRET = b"the secret of the stub"


class StubEnclave:
    pcrs: Mapping[int, str] = {0: "ab" * 48}

    def attest(
        self,
        *,
        public_key: PublicKeyForm = PublicKeyForm.SPKI,
        user_data: bytes | None = None,
        nonce: bytes | None = None,
    ) -> bytes:
        return bytes(range(100))

    def run(
        self,
        operation: str,
        members: Members,
        *,
        recipient: RecipientMembers | None = None,
        send_recipient: bool = True,
        public_key: PublicKeyForm = PublicKeyForm.SPKI,
        opener: Opener = Opener.CMS,
    ) -> Opened | KmsError | Refused:
        if not send_recipient:
            return Refused("plaintext", "Plaintext came", {"Plaintext": SECRET})
        if public_key is not PublicKeyForm.SPKI:
            message = os.environ.get("STUB_MESSAGE", "Invalid public key")
            return KmsError("ValidationException", message, 400, rule="public-key.encoding")
        return Opened(SECRET, {"KeyId": ARN, "CiphertextForRecipient": bytes(range(40))})


class StubKms:
    def call(self, operation: str, members: Members) -> Result | KmsError:
        if operation == "Unknown":
            raise NotSent("Unknown parameter")
        if operation == "Broken":
            raise ConnectionError(f"no route to {ARN}")
        return KmsError("AccessDeniedException", DENIED, 400)

    def send(self, operation: str, members: Mapping[str, Any]) -> Result | KmsError:
        return Result({"KeyId": ARN, "Plaintext": SECRET})

    def raw(self, operation: str, members: Members) -> RawAnswer:
        if operation == "Decrypt":
            body = {"KeyId": ARN, "Plaintext": None, "CiphertextForRecipient": "Ab1+" * 20}
            return RawAnswer(200, json.dumps(body))
        body = {"__type": "com.amazonaws#SerializationException", "Message": "no"}
        return RawAnswer(400, json.dumps(body), rule="request.object")


class StubKey:
    arn = ARN

    def encrypt(self, plaintext: bytes, context: Mapping[str, str] | None = None) -> bytes:
        return plaintext[::-1]

    def disable(self) -> None:
        pass


class StubParent:
    folder = "/tmp/attested-kms-stub"  # noqa: S108  # Nothing is there.
    cpus = 2
    memory_mib = 512

    def image(
        self, *, entrypoint: Sequence[str] | None = None, cmd: Sequence[str] | None = None
    ) -> str:
        return "stub:latest"

    def nitro_cli(
        self, *arguments: str, environment: Mapping[str, str | None] | None = None
    ) -> Finished:
        return Finished(39, "", "[ E29 ] Ioctl failure.\n[ E39 ] Enclave process connection")

    def nitro_cli_killed(self, *arguments: str, after: str) -> Finished:
        return Finished(-9, f"Started enclave with enclave-cid: 16\n{after}\n", "")

    def read(self, path: str) -> str:
        return "text"

    def size(self, path: str) -> int | None:
        return None

    def ask(self, cid: int, port: int, line: bytes) -> bytes:
        return b"answer"


class StubSystemsManager:
    def send(
        self, commands: Sequence[str], *, execution_timeout: int | None = None
    ) -> str | ServiceRefusal:
        return "id" if commands else ServiceRefusal("InvalidParameters", "no commands")

    def invocation(self, command_id: str) -> Invocation:
        return Invocation("Success", 0, "done", "")

    def listed_output(self, command_id: str) -> str:
        return "done"


class StubFresh:
    systems_manager = StubSystemsManager()

    def shell(
        self, script: str, *, environment: Mapping[str, str | None] | None = None
    ) -> Finished:
        return Finished(0, "done", "")


class StubTarget:
    name = "stub"
    role_arn = ROLE
    account_root = "arn:aws:iam::123456789012:root"
    beyond_the_contract = "seen"

    def __init__(self, **_: object) -> None:
        self.stands_on = "nothing at all"
        self.capabilities = frozenset(Capability) - {Capability.PASS_HOURS}
        self.kms: Kms = StubKms()
        root = os.environ.get("STUB_ROOT")
        self.provenance: Mapping[str, str] = {"region": "eu-central-1"} | (
            {"root_sha256": root} if root else {}
        )

    def enclave(self, *, debug: bool = False) -> StubEnclave:
        return StubEnclave()

    def key(self, statements: Sequence[Statement]) -> StubKey:
        return StubKey()

    def parent_instance(self) -> AbstractContextManager[ParentInstance]:
        return nullcontext(StubParent())

    def fresh_instance(self, *, with_rustup: bool = False) -> AbstractContextManager[FreshInstance]:
        return nullcontext(StubFresh())

    def pass_time(self, seconds: float) -> None:
        pass

    def foreign_document(self, *, pcrs: Mapping[int, str]) -> bytes:
        return b"foreign"

    def rule_set(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def identity_policy(self, statements: Sequence[Statement]) -> Iterator[None]:
        yield

    def close(self) -> None:
        Path("closed").touch()


SimulatorTarget = HardwareTarget = StubTarget
