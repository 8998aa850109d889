"""The enclave program: attests, calls KMS through the host proxy and opens what comes back.

It takes no scenario on its command line. It listens at a vsock port for commands (frames with
{"version": 1, "command": ...}), each answered with a frame:

- `attest` {public_key, user_data, nonce} -> {document}
- `describe` {} -> {nsm: the fields of DescribeNSM, pcrs: {"0": bytes, ...} the locked ones}
- `run` {operation, members, recipient, send_recipient, public_key, opener} -> {outcome: "opened",
  plaintext, response} or {outcome: "refused", reason, detail, response}

Only `operation` and `members` must be there; the others default to the working flow. The parent is
not trusted: an answer of the proxy that is none is refused, and a plaintext that comes where an
envelope was due is not used. Errors: kind `kms` and `client` as the proxy gives them, `enclave` for
an NSM or proxy that fails, `protocol` for a command that is not understood; the connection goes on.
"""

from __future__ import annotations

import argparse
import enum
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from scenarios.workload import attestation, envelope, frames, messages, service, transport
from scenarios.workload.messages import AnswerError, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""How long the proxy may take: longer than it gives KMS to connect and to answer."""

KEY_ENCRYPTION_ALGORITHM = "RSAES_OAEP_SHA_256"
"""The only value of RecipientInfo's KeyEncryptionAlgorithm (documented: AWS KMS API Reference)."""

PLAINTEXT_MEMBERS = ("Plaintext", "PrivateKeyPlaintext", "SharedSecret")
"""What CiphertextForRecipient stands for in the responses of the operations that take Recipient;
null or empty when it is there (documented: AWS KMS API Reference)."""


class PublicKeyForm(enum.StrEnum):
    """How the enclave puts its public key into the attestation request."""

    SPKI = "spki"
    PKCS1 = "pkcs1"
    PEM = "pem"
    EC_P256 = "ec-p256"
    RSA_1024 = "rsa-1024"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ABSENT = "absent"


_OTHER_SIZES = {
    PublicKeyForm.RSA_1024: 1024,
    PublicKeyForm.RSA_3072: 3072,
    PublicKeyForm.RSA_4096: 4096,
}


def _new_rsa_key(bits: int = 2048) -> RSAPrivateKey:
    # RSA-2048 as DER SubjectPublicKeyInfo is what KMS asks for (documented: RecipientRequest.md of
    # aws-nitro-enclaves-sdk-c).
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one boot. Only RSA keys open envelopes."""

    rsa: RSAPrivateKey = field(default_factory=_new_rsa_key)
    ec: ec.EllipticCurvePrivateKey = field(
        default_factory=partial(ec.generate_private_key, ec.SECP256R1())
    )
    other_sizes: dict[PublicKeyForm, RSAPrivateKey] = field(default_factory=dict)
    """RSA keys of other sizes: each takes its time to make, so it is made when it is asked for."""

    def private(self, form: PublicKeyForm) -> RSAPrivateKey:
        """The RSA key that opens what is encrypted to the public key in `form`."""
        if form not in _OTHER_SIZES:
            return self.rsa
        if form not in self.other_sizes:
            # Of two connections that ask at once, one's key is everybody's.
            self.other_sizes.setdefault(form, _new_rsa_key(_OTHER_SIZES[form]))
        return self.other_sizes[form]

    def public(self, form: PublicKeyForm) -> bytes | None:
        """The public key in `form`."""
        public = self.private(form).public_key()
        match form:
            case (
                PublicKeyForm.SPKI
                | PublicKeyForm.RSA_1024
                | PublicKeyForm.RSA_3072
                | PublicKeyForm.RSA_4096
            ):
                return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            case PublicKeyForm.PKCS1:
                return public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
            case PublicKeyForm.PEM:
                return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            case PublicKeyForm.EC_P256:
                return self.ec.public_key().public_bytes(
                    Encoding.DER, PublicFormat.SubjectPublicKeyInfo
                )
            case PublicKeyForm.ABSENT:
                return None


class Enclave:
    """Answers commands."""

    def __init__(self, keys: Keys, proxy_port: int) -> None:
        self._keys = keys
        self._proxy_port = proxy_port
        self._commands = {"attest": self._attest, "describe": self._describe, "run": self._run}

    def handle(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The result of one command; raises `AnswerError`."""
        fields = messages.Fields(request)
        fields.check_version()
        name = fields.take("command", str)
        if name not in self._commands:
            raise AnswerError(
                Kind.PROTOCOL,
                "UnknownCommand",
                f"no command {name!r:.80}: there are {', '.join(self._commands)}",
            )
        try:
            return self._commands[name](fields)
        except attestation.NsmError as error:
            raise AnswerError(Kind.ENCLAVE, error.code, str(error)) from error
        except transport.TransportError as error:
            raise AnswerError(Kind.ENCLAVE, "TransportError", str(error)) from error

    def _attest(self, fields: messages.Fields) -> dict[str, Any]:
        form = fields.take_choice("public_key", PublicKeyForm, PublicKeyForm.SPKI)
        user_data = fields.take_bytes_or_null("user_data")
        nonce = fields.take_bytes_or_null("nonce")
        fields.end()
        public_key = self._keys.public(form)
        document = attestation.attest(user_data=user_data, nonce=nonce, public_key=public_key)
        return {"document": document}

    def _describe(self, fields: messages.Fields) -> dict[str, Any]:
        fields.end()
        description = attestation.describe()
        pcrs = {str(index): attestation.pcr(index) for index in description["locked_pcrs"]}
        return {"nsm": description, "pcrs": pcrs}

    def _run(self, fields: messages.Fields) -> dict[str, Any]:
        operation = fields.take("operation", str)
        members = fields.take("members", dict)
        overrides = fields.take("recipient", dict, {})
        send_recipient = fields.take("send_recipient", bool, default=True)
        form = fields.take_choice("public_key", PublicKeyForm, PublicKeyForm.SPKI)
        opener = fields.take_choice("opener", envelope.Opener, envelope.Opener.CMS)
        fields.end()
        if send_recipient:
            if "Recipient" in members:
                raise AnswerError(
                    Kind.PROTOCOL,
                    "InvalidField",
                    "members have Recipient, which this program composes: "
                    "override its members with recipient, or set send_recipient to false",
                )
            members = {**members, "Recipient": self._recipient(overrides, form)}
        response = self._call_kms(operation, members)
        return self._outcome(response, opener, self._keys.private(form))

    def _recipient(self, overrides: Mapping[str, Any], form: PublicKeyForm) -> dict[str, Any]:
        document = attestation.attest(
            user_data=None, nonce=None, public_key=self._keys.public(form)
        )
        recipient = {
            "KeyEncryptionAlgorithm": KEY_ENCRYPTION_ALGORITHM,
            "AttestationDocument": document,
            **overrides,
        }
        return {name: value for name, value in recipient.items() if value is not None}

    def _call_kms(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """The response of KMS through the host proxy; raises `AnswerError`."""
        request = {"version": messages.VERSION, "operation": operation, "members": members}
        try:
            frame = frames.encode(request)
        except frames.FrameError as error:
            raise AnswerError(Kind.PROTOCOL, "UnsendableRequest", str(error)) from error
        port = self._proxy_port
        with transport.connect(transport.PARENT_CID, port, CONNECT_SECONDS) as connection:
            try:
                frames.send(connection, frame)
                answer = frames.receive(connection, wait_seconds=ANSWER_SECONDS)
                if answer is None:
                    raise frames.FramingLostError("the connection ended without an answer")
                return messages.result_of(answer)
            except (frames.FrameError, ValueError) as error:
                raise AnswerError(
                    Kind.ENCLAVE, "BadProxyAnswer", f"the host proxy failed: {error}"
                ) from error

    def _outcome(
        self, response: Mapping[str, Any], opener: envelope.Opener, key: RSAPrivateKey
    ) -> dict[str, Any]:
        blob = response.get("CiphertextForRecipient")
        if blob:
            if not isinstance(blob, bytes):
                problem = f"CiphertextForRecipient is a {type(blob).__name__}, not bytes"
                return _refused("unreadable-envelope", problem, response)
            try:
                plaintext = envelope.OPENERS[opener](blob, key)
            except envelope.EnvelopeError as error:
                return _refused("unreadable-envelope", str(error), response)
            return {"outcome": "opened", "plaintext": plaintext, "response": response}
        for name in PLAINTEXT_MEMBERS:
            if response.get(name):
                return _refused(
                    "plaintext",
                    f"{name} came where CiphertextForRecipient was due, so the parent can read it "
                    "too: it is not used. Send Recipient, and require it in the key policy",
                    response,
                )
        return _refused("no-envelope", "the response has no CiphertextForRecipient", response)


def _refused(reason: str, detail: str, response: Mapping[str, Any]) -> dict[str, Any]:
    return {"outcome": "refused", "reason": reason, "detail": detail, "response": response}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program until it is ended; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scenarios.workload.enclave",
        description="The reference enclave program: takes commands at a vsock port, asks the NSM, "
        "and calls KMS through the host proxy. Prints 'ready' when it listens.",
        epilog=f"With {transport.FABRIC_VARIABLE}=DIR the NSM and vsock are sockets in DIR.",
    )
    parser.add_argument(
        "--control-port", type=service.port, default=5000, help="vsock port for commands (5000)"
    )
    parser.add_argument(
        "--proxy-port", type=service.port, default=8000, help="the host proxy's vsock port (8000)"
    )
    options = parser.parse_args(arguments)
    return service.run("enclave", partial(_serve, options.control_port, options.proxy_port))


def _serve(control_port: int, proxy_port: int) -> NoReturn:
    try:
        attestation.describe()  # Without an NSM there is nothing to serve: say so at boot.
    except attestation.NsmError as error:
        raise service.StartError(str(error)) from error
    with transport.listen(control_port, fabric_cid=transport.FABRIC_ENCLAVE_CID) as listener:
        service.serve(listener, Enclave(Keys(), proxy_port).handle)


if __name__ == "__main__":
    sys.exit(main())
