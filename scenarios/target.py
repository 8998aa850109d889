"""What a scenario may ask of the machine it runs on: the contract that every target fulfils.

A target is a parent instance with one live Nitro enclave, a host proxy beside it, and a KMS: made
of fakes (`simulator`) or real (`real_hw`). This module holds protocols and frozen values only and
imports nothing but the standard library, so that no target depends on another.

Members of requests and responses are those of the KMS API as boto3 spells them: blobs are bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

Members = Mapping[str, Any]
"""Members of a KMS request or response, as boto3 takes and gives them: blobs are `bytes`."""

Statement = Mapping[str, Any]
"""One statement of a policy document, as AWS writes it in JSON."""


class TargetUnavailable(Exception):
    """The target cannot run scenarios here; the message says why and what to do, in a sentence."""


class NotSent(Exception):
    """The SDK itself refused the request, so that KMS never saw it; the message is the SDK's."""


ATTESTED_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")
"""The actions that the scenarios attest."""


class MakeStatement(Protocol):
    """The fixture `statement`: builds one, each argument with a valid default."""

    def __call__(
        self,
        *,
        effect: str = "Allow",
        principal: str | None = None,
        actions: tuple[str, ...] = ATTESTED_ACTIONS,
        condition: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Statement:
        """A statement about the parent instance's role unless `principal` names another."""
        ...


class Capability(enum.Enum):
    """What a target may lack. A scenario that needs a missing one is skipped with its name."""

    ENCLAVE = "enclave"
    """`enclave` is a live one, with the host proxy and KMS beside it. With it `key` makes at least
    keys that let the parent instance's role in without a condition, or on the live enclave's image:
    those of the fixtures `open_key` and `attested_key`."""
    DEBUG_ENCLAVE = "debug-enclave"
    """`enclave` can be booted in debug mode, and out of it again."""
    POLICY_CHANGE = "policy-change"
    """`key` takes whatever statements a scenario chooses."""
    PASS_MINUTES = "pass-minutes"  # noqa: S105  # No password.
    """`pass_time` may be asked for some minutes."""
    PASS_HOURS = "pass-hours"  # noqa: S105  # No password.
    """`pass_time` may be asked for hours."""
    FOREIGN_DOCUMENT = "foreign-document"
    """`foreign_document` makes documents under a root that KMS does not trust."""
    RULE_SETS = "rule-sets"
    """`rule_set` can switch between readings of what KMS refuses."""
    IDENTITY_POLICIES = "identity-policies"
    """`identity_policy` can take away what the parent instance's role is allowed by IAM."""
    NITRO_CLI = "nitro-cli"
    """`parent_instance` has the package nitro-cli: it builds images, and refuses as it does
    everywhere. Without PARENT_INSTANCE it may be any machine, and no enclave boots on it."""
    PARENT_INSTANCE = "parent-instance"
    """`parent_instance` boots enclaves from the images that it builds; it implies NITRO_CLI."""
    FRESH_INSTANCE = "fresh-instance"
    """`fresh_instance` makes an instance on which nothing has been installed."""
    SYSTEMS_MANAGER = "systems-manager"
    """A fresh instance is managed by AWS Systems Manager."""


class PublicKeyForm(enum.Enum):
    """How the enclave puts its public key into the attestation request."""

    SPKI = "spki"
    """DER SubjectPublicKeyInfo (RFC 5280) of its RSA-2048 key: what KMS wants."""
    PKCS1 = "pkcs1"
    """DER RSAPublicKey (RFC 8017) of the same key: bug 8.3 of the field notes."""
    PEM = "pem"
    """The SubjectPublicKeyInfo as PEM text."""
    EC_P256 = "ec-p256"
    """DER SubjectPublicKeyInfo of a P-256 key."""
    RSA_1024 = "rsa-1024"
    """DER SubjectPublicKeyInfo of another RSA key of the enclave, of 1024 bits."""
    RSA_3072 = "rsa-3072"
    """The same of 3072 bits."""
    RSA_4096 = "rsa-4096"
    """The same of 4096 bits."""
    ABSENT = "absent"
    """No public key: bug 8.2 of the field notes."""


class Opener(enum.Enum):
    """How the enclave reads CiphertextForRecipient."""

    CMS = "cms"
    """As CMS EnvelopedData in BER: the way that works."""
    STRICT_DER = "strict-der"
    """As CMS EnvelopedData in DER, which refuses indefinite lengths."""
    RAW_RSA_OAEP = "raw-rsa-oaep"
    """As if the whole blob were one RSA-OAEP ciphertext."""


@dataclass(frozen=True, slots=True)
class Result:
    """A response of KMS as the caller of `Kms.call` got it."""

    members: Members


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What KMS answered to `Kms.raw`, before any SDK read it."""

    http_status: int
    body: str
    """JSON as it came; blobs are base64."""
    rule: str | None = field(default=None, compare=False)
    """As in KmsError."""


@dataclass(frozen=True, slots=True)
class KmsError:
    """A refusal of KMS, passed on exactly as given."""

    code: str
    """The exception type, for example `ValidationException`."""
    message: str
    http_status: int
    rule: str | None = field(default=None, compare=False)
    """Which of its rules refused, for a target that can tell (`document.validity`); real KMS cannot
    and says None. It tells apart refusals whose real text nobody knows."""

    def refused_by(self, code: str, rule: str) -> bool:
        """Whether the exception type is `code` and, where the target can tell, the rule `rule`."""
        return self.code == code and self.rule in {None, rule}


@dataclass(frozen=True, slots=True)
class Opened:
    """What the enclave got: KMS answered with an envelope and the enclave opened it."""

    plaintext: bytes
    response: Members
    """The response of KMS as the host proxy passed it on."""


@dataclass(frozen=True, slots=True)
class Refused:
    """KMS answered and the enclave would not or could not use the answer."""

    reason: str
    """`plaintext`: a Plaintext came where an envelope was due; `no-envelope`: neither came;
    `unreadable-envelope`: the opener could not open it."""
    detail: str
    response: Members


Answer = Opened | Refused | Result | KmsError | RawAnswer | NotSent
"""What came of a call of KMS."""


class Observe(Protocol):
    """The fixture `observe`: notes what nobody knows yet instead of asserting it.

    A record of real hardware settles it, and from then on other targets are held to it.
    """

    def __call__(self, name: str, answer: Answer, *, rules: tuple[str, ...] = ()) -> None:
        """Note the answer under `name`, which is one in its scenario.

        `rules` are the rules of the KMS fake, by their ids, whose type, text or order it settles.
        """
        ...


RecipientMembers = Mapping[str, Any]
"""Overrides of the members of `Recipient` that the enclave composes (KeyEncryptionAlgorithm
RSAES_OAEP_SHA_256 and a fresh AttestationDocument); the value None leaves a member out."""


class Enclave(Protocol):
    """The one live enclave, running `scenarios.workload.enclave`."""

    @property
    def pcrs(self) -> Mapping[int, str]:
        """The PCRs of its attestation document: index to 96 lower-case hexadecimal digits."""
        ...

    def attest(
        self,
        *,
        public_key: PublicKeyForm = PublicKeyForm.SPKI,
        user_data: bytes | None = None,
        nonce: bytes | None = None,
    ) -> bytes:
        """A fresh attestation document: COSE_Sign1 bytes, as the NSM returned them."""
        ...

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
        """Call KMS from inside the enclave through the host proxy, and open what comes back.

        `members` are the request's members without Recipient. The enclave attests a fresh
        document with its public key in the form `public_key` and adds Recipient, with the
        overrides `recipient`; with `send_recipient` False it sends none and still expects an
        envelope.
        """
        ...


class Key(Protocol):
    """A symmetric KMS key made for one scenario."""

    @property
    def arn(self) -> str:
        """`arn:aws:kms:REGION:ACCOUNT:key/ID`."""
        ...

    def encrypt(self, plaintext: bytes, context: Mapping[str, str] | None = None) -> bytes:
        """A CiphertextBlob of `plaintext` (1 to 4096 bytes) under this key."""
        ...

    def disable(self) -> None:
        """Disable the key for good; KMS knows it when this returns."""
        ...


class Kms(Protocol):
    """KMS as the parent instance reaches it with its own role, without the enclave."""

    def call(self, operation: str, members: Members) -> Result | KmsError:
        """Send one request by boto3, exactly as given. Raises NotSent if boto3 does not."""
        ...

    def send(self, operation: str, members: Mapping[str, Any]) -> Result | KmsError:
        """Send what no SDK would: the JSON of `members` as it stands, signed. Blobs are base64."""
        ...

    def raw(self, operation: str, members: Members) -> RawAnswer:
        """Send as `call` does, and give the answer as it came, be it a result or an error.

        An SDK shows neither whether a member is null or absent nor how an error spells `message`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Finished:
    """A command of the parent instance that has ended."""

    exit_code: int
    """Negative for a signal, as `subprocess` has it."""
    stdout: str
    stderr: str


class ParentInstance(Protocol):
    """The parent instance as a deployment script meets it: nitro-cli, files, the vsock.

    No enclave runs on it when a scenario gets it. With the capability PARENT_INSTANCE its allocator
    has run; with NITRO_CLI alone nothing boots on it, `cpus` and `memory_mib` are 0, and nobody
    answers `ask`.
    """

    folder: str
    """An empty folder on the instance, for images."""
    cpus: int
    """The vCPUs of its CPU pool."""
    memory_mib: int
    """Enough for an enclave of `image`, and no more than the instance's huge pages hold."""

    def image(
        self, *, entrypoint: Sequence[str] | None = None, cmd: Sequence[str] | None = None
    ) -> str:
        """The URI of a container image on the instance with this ENTRYPOINT and this CMD.

        It has two programs. `/hello`, whatever its arguments, says `hello` on the console and then
        answers at vsock port 5000: to one line, the DER SubjectPublicKeyInfo of an RSA key in
        base64, with one line, an attestation document with that key, in base64. `/once` says
        `once` and ends.
        """
        ...

    def nitro_cli(
        self, *arguments: str, environment: Mapping[str, str | None] | None = None
    ) -> Finished:
        """Run nitro-cli to its end; `environment` changes its variables, None takes one away."""
        ...

    def nitro_cli_killed(self, *arguments: str, after: str) -> Finished:
        """Run nitro-cli and kill it, and nothing else, once it has printed `after`."""
        ...

    def read(self, path: str) -> str:
        """A text file of the instance."""
        ...

    def size(self, path: str) -> int | None:
        """The size of a file of the instance in bytes, or None where there is none."""
        ...

    def ask(self, cid: int, port: int, line: bytes) -> bytes:
        """Dial an enclave from the instance, send a line and give the line that comes back.

        Tried anew until somebody listens: run-enclave returns before the enclave's program does.
        """
        ...


@dataclass(frozen=True, slots=True)
class ServiceRefusal:
    """A refusal of Systems Manager, passed on exactly as given."""

    code: str
    """The exception type, for example `MaxDocumentSizeExceeded`."""
    message: str


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command on one instance that has ended, as GetCommandInvocation tells of it."""

    status: str
    """`Success`, `Failed`, `TimedOut` or `Cancelled`."""
    response_code: int
    """The script's exit code."""
    stdout: str
    """StandardOutputContent: the first 24,000 characters."""
    stderr: str
    """StandardErrorContent: the first 8,000 characters."""


class SystemsManager(Protocol):
    """AWS Systems Manager, as whoever deploys reaches it, for one managed instance."""

    def send(
        self, commands: Sequence[str], *, execution_timeout: int | None = None
    ) -> str | ServiceRefusal:
        """SendCommand of AWS-RunShellScript with these lines: the command's id.

        `execution_timeout` is the parameter executionTimeout, in seconds.
        """
        ...

    def invocation(self, command_id: str) -> Invocation:
        """How the command ended; waits for it."""
        ...

    def listed_output(self, command_id: str) -> str:
        """Output of the ended command in ListCommandInvocations with Details: 2,500 characters."""
        ...


class FreshInstance(Protocol):
    """An instance as launched: Amazon Linux 2023, enclaves enabled, nothing installed since.

    There is no package of Nitro Enclaves and no compiler. What is done to it stays until the end of
    its context. A real target launches one for each scenario and throws it away. A container of
    amazonlinux:2023 would do for what asks dnf, shell and toolchain only.
    """

    def shell(
        self, script: str, *, environment: Mapping[str, str | None] | None = None
    ) -> Finished:
        """Run `script` with bash as root, with HOME and a login's PATH, to its end.

        All scripts run in the same folder. `hello/` in it has the sources of a small enclave image
        with a Dockerfile; the command `attested-kms` is on PATH. `environment` changes variables,
        None takes one away.
        """
        ...

    @property
    def systems_manager(self) -> SystemsManager:
        """With the capability SYSTEMS_MANAGER."""
        ...


class Target(Protocol):
    """A parent instance with its enclave, its proxy and its KMS."""

    name: str
    capabilities: frozenset[Capability]
    kms: Kms
    role_arn: str
    """The IAM role of the parent instance, with which the proxy and `kms` call."""
    account_root: str
    """`arn:aws:iam::ACCOUNT:root`."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """On what the scenarios ran, for their records: what is known by now, without asking.

        `region` (`eu-central-1`), `instance_type` (`m6i.xlarge`), `nitro_cli` (`1.4.4`), `kernel`
        (what `uname -r` prints), and `root_sha256`: SHA-256, 64 lower-case hexadecimal digits, of
        the DER root certificate, the first of the cabundle in the enclave's attestation documents.
        Only that of AWS makes a run one on hardware.
        """
        ...

    def enclave(self, *, debug: bool = False) -> Enclave:
        """The live enclave; boots it anew where the mode differs. One lives at a time."""
        ...

    def key(self, statements: Sequence[Statement]) -> Key:
        """A key whose policy is the target's administrator statement plus `statements`.

        The administrator statement allows managing and Encrypt, never Decrypt or GenerateDataKey.
        A target may give one key for equal policies: whoever disables it has one of its own.
        """
        ...

    def parent_instance(self) -> AbstractContextManager[ParentInstance]:
        """A parent instance whose enclaves attest under the root that `kms` trusts.

        Enclaves that still run at the end of the context are ended.
        """
        ...

    def fresh_instance(self, *, with_rustup: bool = False) -> AbstractContextManager[FreshInstance]:
        """An instance as launched, thrown away at the end of the context.

        `with_rustup` gives its user ec2-user a Rust toolchain in /home/ec2-user/.cargo, as rustup
        installs it, and scripts HOME and PATH of that user's login; without it there is no cargo.
        """
        ...

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass for the NSM and for KMS."""
        ...

    def foreign_document(self, *, pcrs: Mapping[int, str]) -> bytes:
        """A fresh, well-made document under a root of somebody else.

        It has these PCR0, PCR1 and PCR2 and a usable public key of its maker.
        """
        ...

    def rule_set(self, name: str) -> AbstractContextManager[None]:
        """Within the context KMS follows the rule set `name`: `aws` or `field-notes`."""
        ...

    def identity_policy(self, statements: Sequence[Statement]) -> AbstractContextManager[None]:
        """Within the context IAM allows the parent instance's role exactly `statements`."""
        ...

    def close(self) -> None:
        """End the enclave and the proxy and remove what was made."""
        ...
