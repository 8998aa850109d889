"""What the tests of inspect share: documents by nsm_fake, and the command run in this process."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jsonschema import Draft202012Validator

from nsm_fake import EnclaveIdentity, NitroSecurityModule, NsmPki
from simulator import cli
from simulator.inspection.moments import from_words, in_words

SEED = "inspected"
NOW_MS = from_words("2026-02-03T04:05:06.789Z")
AT = in_words(NOW_MS)
ROLE = "arn:aws:iam::123456789012:role/Webserver"
SIMULATED = ("--root", "sim", "--seed", SEED, "--at", "document")
"""Judge a document by the simulator's root at its own time."""

SCHEMA = json.loads(
    resources.files("simulator").joinpath("schemas", "inspect.schema.json").read_text()
)


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key, made once for each size."""
    return _rsa_key(bits)


@cache
def _rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def spki(bits: int = 2048) -> bytes:
    key = rsa_key(bits).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_key(form: str) -> bytes:
    """A public key in a form that is not what KMS takes."""
    key = rsa_key().public_key()
    curve = ec.derive_private_key(7, ec.SECP256R1()).public_key()
    point = curve.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {
        "pkcs1": key.public_bytes(Encoding.DER, PublicFormat.PKCS1),
        "pem": key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "ec": curve.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "point": point,
        "raw": bytes(range(32)),
        "text": b"dummy",
    }[form]


@cache
def nsm(*, debug_mode: bool = False, seed: str = SEED, now_ms: int = NOW_MS) -> NitroSecurityModule:
    def clock() -> int:
        return now_ms

    identity = EnclaveIdentity.create(
        clock=clock, role_arn=ROLE, debug_mode=debug_mode, seed=seed.encode()
    )
    return NitroSecurityModule(identity, NsmPki(seed.encode()), clock)


def response(public_key: bytes | None = None, **identity: Any) -> bytes:
    """The NSM's whole answer."""
    fields = {"user_data": None, "nonce": b"nonce", "public_key": public_key}
    return nsm(**identity).handle(cbor2.dumps({"Attestation": fields}))


def document(key: bytes | str | None = "spki", **identity: Any) -> bytes:
    """An attestation document; `key` names a form of `public_key`, or is the bytes."""
    if isinstance(key, str):
        key = spki() if key == "spki" else public_key(key)
    made: bytes = cbor2.loads(response(key, **identity))["Attestation"]["document"]
    return made


@dataclass(frozen=True)
class Ran:
    """What came of one run of the command."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """The report, checked against the published schema."""
        report: dict[str, Any] = json.loads(self.out)
        Draft202012Validator(SCHEMA).validate(report)
        assert report["exit_code"] == self.code
        return report

    @property
    def sentence(self) -> str:
        """The one line of an error."""
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("attested-kms inspect: ")
        return line


def inspect(*arguments: str | Path, stdin: bytes | None = None) -> Ran:
    """Run `attested-kms inspect` in this process."""
    out, err = io.StringIO(), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin or b""))
    with redirect_stdout(out), redirect_stderr(err), patch("sys.stdin", given):
        try:
            code = cli.main(["inspect", *map(str, arguments)])
        except SystemExit as end:  # argparse
            code = int(str(end.code))
    return Ran(code, out.getvalue(), err.getvalue())


def inspected(data: bytes, *arguments: str | Path) -> dict[str, Any]:
    """The JSON report on `data`, given on the standard input."""
    ran = inspect("-", "--json", *arguments, stdin=data)
    assert ran.err == ""
    return ran.report


def rules(report: Mapping[str, Any]) -> list[str]:
    """The ids of the rules that refuse, without those that only follow."""
    return [each["rule"] for each in report["refusals"] if each["follows_from"] is None]
