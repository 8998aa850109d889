"""Judges that share no code with the fake: they accept its documents in time, and not later.

`openssl`, the verifier beside the real documents, and cryptography's path validation.
"""

import base64
import datetime as dt
import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cbor2
import pytest
from cryptography import x509
from cryptography.x509 import verification

from nsm_fake import NitroSecurityModule, NsmPki, OuterMap
from nsm_fake.document import encode_payload, sign_payload

HOURS_4_MS = 4 * 3_600_000
AWS_ROOT_SHA256 = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"


@dataclass(frozen=True)
class Case:
    """A document as a judge gets it: its bytes, its time, and the root to trust."""

    document: bytes
    time_ms: int
    root: bytes

    @property
    def parts(self) -> list[bytes]:
        parts: list[bytes] = cbor2.loads(self.document)
        return parts

    @property
    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = cbor2.loads(self.parts[2])
        return payload

    def at(self, later_ms: int) -> dt.datetime:
        return dt.datetime.fromtimestamp((self.time_ms + later_ms) // 1000, dt.UTC)


@pytest.fixture(params=["seeded", "fresh", "definite", "debug", "after-a-month"])
def case(
    request: pytest.FixtureRequest,
    make_module: Callable[..., NitroSecurityModule],
    attest: Callable[..., bytes],
    clock: Mock,
) -> Case:
    pki = NsmPki(None if request.param == "fresh" else b"judged")
    outer_map = OuterMap.DEFINITE if request.param == "definite" else OuterMap.INDEFINITE
    module = make_module(
        pki=pki,
        seed=None if request.param == "fresh" else b"judged",
        outer_map=outer_map,
        debug_mode=request.param == "debug",
    )
    if request.param == "after-a-month":
        attest(module)
        clock.return_value += 31 * 24 * 3_600_000
    document = attest(module, public_key=b"key", nonce=b"nonce")
    return Case(document, clock.return_value, pki.root_certificate_der)


def pem(der: bytes) -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"


def openssl_verifies(openssl: str, case: Case, folder: Path, later_ms: int) -> tuple[bool, str]:
    payload = case.payload
    (folder / "root.pem").write_text(pem(case.root))
    (folder / "between.pem").write_text("".join(map(pem, payload["cabundle"][1:])))
    (folder / "leaf.pem").write_text(pem(payload["certificate"]))
    run = subprocess.run(
        [
            openssl,
            "verify",
            "-attime",
            str(int(case.at(later_ms).timestamp())),
            "-CAfile",
            "root.pem",
            "-untrusted",
            "between.pem",
            "leaf.pem",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode == 0, run.stdout + run.stderr


def test_openssl_verifies_the_chain(openssl: str, case: Case, tmp_path: Path) -> None:
    accepted, output = openssl_verifies(openssl, case, tmp_path, 0)
    assert accepted, output
    assert "leaf.pem: OK" in output
    accepted, output = openssl_verifies(openssl, case, tmp_path, HOURS_4_MS)
    assert not accepted
    assert "certificate has expired" in output


def der_integer(number: bytes) -> bytes:
    content = number.lstrip(b"\x00")
    if content[0] & 0x80:
        content = b"\x00" + content
    return bytes([2, len(content)]) + content


def sig_structure(protected: bytes, payload: bytes) -> bytes:
    """["Signature1", protected, h'', payload], written by hand (RFC 9052, 4.4)."""
    head = b"\x84\x6aSignature1" + bytes([0x40 | len(protected)]) + protected + b"\x40"
    return head + b"\x59" + len(payload).to_bytes(2) + payload


@pytest.mark.parametrize("flipped", [None, "payload", "signature"])
def test_openssl_verifies_the_signature(
    openssl: str, case: Case, tmp_path: Path, flipped: str | None
) -> None:
    protected, _, payload, signature = case.parts
    signed = bytearray(sig_structure(protected, payload))
    raw = bytearray(signature)
    if flipped == "payload":
        signed[-2] ^= 1
    if flipped == "signature":
        raw[40] ^= 1
    integers = der_integer(bytes(raw[:48])) + der_integer(bytes(raw[48:]))
    (tmp_path / "signed").write_bytes(signed)
    (tmp_path / "signature").write_bytes(bytes([0x30, len(integers)]) + integers)
    (tmp_path / "leaf.pem").write_text(pem(case.payload["certificate"]))
    key = subprocess.run(
        [openssl, "x509", "-in", "leaf.pem", "-noout", "-pubkey"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    (tmp_path / "key.pem").write_bytes(key.stdout)
    verdict = subprocess.run(
        [openssl, "dgst", "-sha384", "-verify", "key.pem", "-signature", "signature", "signed"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verdict.returncode == 0) is (flipped is None)
    assert ("Verified OK" in verdict.stdout) is (flipped is None)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def shared_verifier(
    vectors: Path, folder: Path, root_sha256: str, document: bytes
) -> subprocess.CompletedProcess[str]:
    """Run the verifier of the real documents as it is, with only the root's hash replaced."""
    source = (vectors / "verify_attestation.py").read_text()
    assert source.count(AWS_ROOT_SHA256) == 1
    script = folder / "verify_attestation.py"
    script.write_text(source.replace(AWS_ROOT_SHA256, root_sha256))
    (folder / "document.bin").write_bytes(document)
    return subprocess.run(
        [sys.executable, str(script), str(folder / "document.bin")],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_shared_verifier_accepts(shared_vectors: Path, case: Case, tmp_path: Path) -> None:
    verdict = shared_verifier(shared_vectors, tmp_path, sha256(case.root), case.document)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert verdict.stdout.startswith("OK ")


def test_the_shared_verifier_refuses_four_hours_later(
    shared_vectors: Path,
    tmp_path: Path,
    make_module: Callable[..., NitroSecurityModule],
    clock: Mock,
) -> None:
    """It judges at the document's own time, so a late one is signed with the old leaf."""
    pki = NsmPki(b"judged")
    identity = make_module().identity
    chain = pki.issue(identity, clock.return_value)
    payload = encode_payload(
        module_id=identity.module_id,
        timestamp_ms=clock.return_value + HOURS_4_MS,
        pcrs=dict.fromkeys(range(16), bytes(48)),
        certificate=chain.certificate,
        cabundle=chain.cabundle,
        public_key=None,
        user_data=None,
        nonce=None,
    )
    document = sign_payload(payload, chain.private_key)
    verdict = shared_verifier(shared_vectors, tmp_path, sha256(pki.root_certificate_der), document)
    assert verdict.returncode == 1
    assert "cert 0" in verdict.stdout
    assert "not valid at" in verdict.stdout


def test_the_shared_verifier_as_it_is_refuses(
    shared_vectors: Path, case: Case, tmp_path: Path
) -> None:
    """Nobody who trusts AWS's root takes our documents for real."""
    verdict = shared_verifier(shared_vectors, tmp_path, AWS_ROOT_SHA256, case.document)
    assert verdict.returncode == 1
    assert "root is not AWS Nitro Enclaves Root G1" in verdict.stdout


def validate_path(case: Case, later_ms: int) -> int:
    """The length of the path that cryptography finds, with its constraints for authorities."""
    authorities = (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, verification.Criticality.CRITICAL, None)
        .require_present(x509.KeyUsage, verification.Criticality.CRITICAL, None)
    )
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([x509.load_der_x509_certificate(case.root)]))
        .time(case.at(later_ms))
        .max_chain_depth(4)
        .extension_policies(
            ca_policy=authorities, ee_policy=verification.ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )
    leaf = x509.load_der_x509_certificate(case.payload["certificate"])
    between = [x509.load_der_x509_certificate(der) for der in case.payload["cabundle"][1:]]
    return len(verifier.verify(leaf, between).chain)


def test_cryptography_validates_the_path(case: Case) -> None:
    assert validate_path(case, 0) == 5
    with pytest.raises(verification.VerificationError, match="not valid at validation time"):
        validate_path(case, HOURS_4_MS)


def test_cryptography_refuses_another_root(case: Case) -> None:
    other = Case(case.document, case.time_ms, NsmPki(b"somebody").root_certificate_der)
    with pytest.raises(verification.VerificationError):
        validate_path(other, 0)
