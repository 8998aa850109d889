"""A target that is watched: everything passes through, and each step of a scenario is noted.

No target of its own and no judge: a scenario cannot tell that it is watched. What is noted holds no
plaintext, no credential and no identifier of anybody's account (`scenarios.normalising`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from scenarios.normalising import shape
from scenarios.notes import Notes
from scenarios.target import (
    Capability,
    Enclave,
    FreshInstance,
    Key,
    Kms,
    KmsError,
    Members,
    Opened,
    Opener,
    ParentInstance,
    PublicKeyForm,
    RawAnswer,
    RecipientMembers,
    Refused,
    Result,
    Statement,
    Target,
)
from scenarios.watched_instances import WatchedFresh, WatchedParent

_ALGORITHM = "RSAES_OAEP_SHA_256"


class WatchedEnclave:
    """Notes what the enclave attests and what it asks of KMS."""

    def __init__(self, enclave: Enclave, notes: Notes) -> None:
        self._enclave = enclave
        self._notes = notes

    @property
    def pcrs(self) -> Mapping[int, str]:
        """The PCRs of its attestation document."""
        return self._enclave.pcrs

    def attest(
        self,
        *,
        public_key: PublicKeyForm = PublicKeyForm.SPKI,
        user_data: bytes | None = None,
        nonce: bytes | None = None,
    ) -> bytes:
        """A fresh attestation document."""
        with self._notes.timed("attest", public_key=public_key.value, outcome="failed") as step:
            document = self._enclave.attest(public_key=public_key, user_data=user_data, nonce=nonce)
            step |= {"outcome": "document", "bytes": len(document)}
        return document

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
        """Call KMS from inside the enclave and open what comes back."""
        request = dict(members)
        if send_recipient:
            fresh = {"fresh": True, "public_key": public_key.value}
            composed = {"KeyEncryptionAlgorithm": _ALGORITHM, "AttestationDocument": fresh}
            composed |= recipient or {}
            request["Recipient"] = {name: it for name, it in composed.items() if it is not None}
        return self._notes.kms(
            operation,
            request,
            lambda: self._enclave.run(
                operation,
                members,
                recipient=recipient,
                send_recipient=send_recipient,
                public_key=public_key,
                opener=opener,
            ),
            by="enclave",
            opener=opener.value,
        )


class WatchedKey:
    """Notes what is done with a key by who administers it."""

    def __init__(self, key: Key, notes: Notes) -> None:
        self._key = key
        self._notes = notes

    @property
    def arn(self) -> str:
        """`arn:aws:kms:REGION:ACCOUNT:key/ID`."""
        return self._key.arn

    def encrypt(self, plaintext: bytes, context: Mapping[str, str] | None = None) -> bytes:
        """A CiphertextBlob of `plaintext`."""
        request: dict[str, Any] = {"KeyId": self._key.arn, "Plaintext": plaintext}
        if context:
            request["EncryptionContext"] = context
        blobs = []

        def encrypt() -> Result:
            blobs.append(self._key.encrypt(plaintext, context))
            return Result({"CiphertextBlob": blobs[0]})

        self._notes.kms("Encrypt", request, encrypt)
        return blobs[0]

    def disable(self) -> None:
        """Disable the key for good."""

        def disable() -> Result:
            self._key.disable()
            return Result({})

        self._notes.kms("DisableKey", {"KeyId": self._key.arn}, disable)


class WatchedKms:
    """Notes what the parent instance asks of KMS itself."""

    def __init__(self, kms: Kms, notes: Notes) -> None:
        self._kms = kms
        self._notes = notes

    def call(self, operation: str, members: Members) -> Result | KmsError:
        """Send one request by boto3, exactly as given."""
        return self._notes.kms(operation, members, lambda: self._kms.call(operation, members))

    def send(self, operation: str, members: Mapping[str, Any]) -> Result | KmsError:
        """Send the JSON of `members` as it stands."""
        return self._notes.kms(
            operation, members, lambda: self._kms.send(operation, members), form="json"
        )

    def raw(self, operation: str, members: Members) -> RawAnswer:
        """Send as `call` does, and give the answer as it came."""
        return self._notes.kms(operation, members, lambda: self._kms.raw(operation, members))


class Watched:
    """`target`, whose steps go into `notes`."""

    def __init__(self, target: Target, notes: Notes) -> None:
        self._target = target
        self._notes = notes
        self._debug = False
        self.name = target.name
        self.capabilities = target.capabilities
        if Capability.ENCLAVE in self.capabilities:
            self.role_arn = target.role_arn
            self.account_root = target.account_root
            self.kms: Kms = WatchedKms(target.kms, notes)

    def __getattr__(self, name: str) -> Any:
        """What a target has beyond the contract, or lacks without an enclave."""
        return getattr(self._target, name)

    @property
    def provenance(self) -> Mapping[str, str]:
        """On what the scenarios ran."""
        return self._target.provenance

    def enclave(self, *, debug: bool = False) -> Enclave:
        """The live enclave, booted anew where the mode differs."""
        if debug == self._debug:
            return WatchedEnclave(self._target.enclave(debug=debug), self._notes)
        with self._notes.timed("boot", debug=debug):
            enclave = self._target.enclave(debug=debug)
        self._debug = debug
        return WatchedEnclave(enclave, self._notes)

    def key(self, statements: Sequence[Statement]) -> Key:
        """A new key with the administrator statement and `statements`."""
        with self._notes.timed("key", statements=shape(statements)):
            return WatchedKey(self._target.key(statements), self._notes)

    @contextmanager
    def parent_instance(self) -> Iterator[ParentInstance]:
        """A parent instance on which no enclave runs."""
        with self._target.parent_instance() as instance:
            yield WatchedParent(instance, self._notes)

    @contextmanager
    def fresh_instance(self, *, with_rustup: bool = False) -> Iterator[FreshInstance]:
        """An instance as launched."""
        with self._target.fresh_instance(with_rustup=with_rustup) as instance:
            yield WatchedFresh(instance, self._notes)

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass for the NSM and for KMS."""
        self._notes.add("time", seconds=seconds)
        self._target.pass_time(seconds)

    def foreign_document(self, *, pcrs: Mapping[int, str]) -> bytes:
        """A fresh document under a root of somebody else."""
        document = self._target.foreign_document(pcrs=pcrs)
        self._notes.add("foreign-document", bytes=len(document))
        return document

    @contextmanager
    def rule_set(self, name: str) -> Iterator[None]:
        """Within the context KMS follows the rule set `name`."""
        self._notes.add("rule-set", name=name)
        with self._target.rule_set(name):
            yield
        self._notes.add("rule-set")

    @contextmanager
    def identity_policy(self, statements: Sequence[Statement]) -> Iterator[None]:
        """Within the context IAM allows the parent instance's role exactly `statements`."""
        self._notes.add("identity-policy", statements=shape(statements))
        with self._target.identity_policy(statements):
            yield
        self._notes.add("identity-policy")

    def close(self) -> None:
        """End the target."""
        self._target.close()


def _fulfils(watched: Watched) -> Target:
    return watched  # For the type checker.
