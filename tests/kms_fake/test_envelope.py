"""CiphertextForRecipient: real samples rebuilt from their parts, and judges that open ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from kms_fake.envelope import CHUNK_LENGTH, ContentForm, encode, seal
from scenarios.workload import envelope as reader
from tests.kms_fake.world import rsa_key, spki

ALGORITHMS = {
    reader.OaepHash.SHA256: None,  # What the encoder writes by itself.
    # RSAES-OAEP with empty parameters, which mean SHA-1: envelopes of 2022 and before.
    reader.OaepHash.SHA1: bytes.fromhex("300d06092a864886f70d0101073000"),
}


def rebuilt(blob: bytes) -> bytes:
    """The encoder's bytes for the parts of an envelope."""
    parts = reader.parse(blob)
    return encode(
        subject_key_identifier=parts.subject_key_identifier,
        encrypted_key=parts.encrypted_key,
        iv=parts.iv,
        encrypted_content=parts.ciphertext,
        form=ContentForm(parts.content_form.value),
        key_encryption_algorithm=ALGORITHMS[parts.oaep_hash],
    )


def test_the_real_samples_are_rebuilt_byte_for_byte(shared_vectors: Path) -> None:
    paths = list((shared_vectors / "cms").rglob("*.ber"))
    assert len(paths) == 30
    assert [path.name for path in paths if rebuilt(path.read_bytes()) != path.read_bytes()] == []


@pytest.mark.parametrize("form", ContentForm)
@pytest.mark.parametrize("length", [1, 32, 991, 992, 4096])
def test_openssl_opens_ours(openssl: str, tmp_path: Path, length: int, form: ContentForm) -> None:
    plaintext = bytes(index % 256 for index in range(length))
    key = rsa_key()
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    blob = tmp_path / "blob.ber"
    blob.write_bytes(seal(plaintext, key.public_key(), spki(), form))
    command = [openssl, "cms", "-decrypt", "-inform", "DER", "-in", str(blob), "-binary"]
    opened = subprocess.run(
        [*command, "-inkey", str(tmp_path / "key.pem")], capture_output=True, check=True
    )
    assert opened.stdout == plaintext


@pytest.mark.parametrize(
    ("length", "form", "head"),
    [
        (32, ContentForm.CONSTRUCTED, "a0800430"),
        (32, ContentForm.PRIMITIVE, "8030"),
        # 992 bytes are padded to 1008: more than one chunk, which no primitive string can hold.
        (992, ContentForm.PRIMITIVE, "a080048203e8"),
    ],
)
def test_the_content_has_the_form_asked_for(length: int, form: ContentForm, head: str) -> None:
    blob = seal(bytes(length), rsa_key().public_key(), spki(), form)
    parts = reader.parse(blob)
    position = blob.index(parts.iv) + len(parts.iv)
    assert blob[position:].hex().startswith(head)


def test_long_content_is_cut_into_chunks() -> None:
    blob = encode(
        subject_key_identifier=bytes(32),
        encrypted_key=bytes(256),
        iv=bytes(16),
        encrypted_content=b"\x01" * (2 * CHUNK_LENGTH + 16),
        form=ContentForm.CONSTRUCTED,
    )
    chunk = bytes.fromhex("048203e8") + b"\x01" * CHUNK_LENGTH
    assert chunk * 2 + b"\x04\x10" + b"\x01" * 16 + b"\x00\x00" in blob


def test_its_length_is_that_of_real_ones() -> None:
    """A 32-byte key gave 493 bytes, 12 bytes of text 461, 154 bytes of JSON 606."""
    lengths = {
        size: len(seal(bytes(size), rsa_key().public_key(), spki(), ContentForm.CONSTRUCTED))
        for size in (12, 32, 154)
    }
    assert lengths == {12: 461, 32: 493, 154: 606}


@given(plaintext=st.binary(min_size=1, max_size=4096), form=st.sampled_from(ContentForm))
def test_the_enclave_opens_whatever_kms_seals(plaintext: bytes, form: ContentForm) -> None:
    blob = seal(plaintext, rsa_key().public_key(), spki(), form)
    assert len(blob) <= 6144
    assert reader.open_cms(blob, rsa_key()) == plaintext
    assert rebuilt(blob) == blob
