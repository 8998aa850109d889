"""`attested-kms inspect` never ends in a stack trace, whatever it is given, and never says yes."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from kms_fake.envelope import ContentForm, seal
from simulator.inspection import envelope
from tests.simulator.inspected import (
    ROLE,
    SIMULATED,
    document,
    inspect,
    response,
    rsa_key,
    spki,
)

ENVELOPES = [
    seal(b"secret" * 300, rsa_key().public_key(), spki(), ContentForm.CONSTRUCTED),
    seal(b"secret", rsa_key().public_key(), spki(), ContentForm.PRIMITIVE),
]
DOCUMENTS = [document(), document("pkcs1"), response(spki())]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key policy and the key of the envelopes."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    folder = tmp_path_factory.mktemp("files")
    key = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(key)
    condition = {"StringEquals": {"kms:RecipientAttestation:PCR0": "00" * 48}}
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ROLE},
        "Action": "kms:*",
        "Resource": "*",
        "Condition": condition,
    }
    (folder / "policy.json").write_text(json.dumps({"Statement": [statement]}))
    return folder


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """One of the originals with bytes changed, cut out or put in."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 8))
        data[start : start + length] = draw(st.binary(max_size=8))
    return bytes(data)


def wrapped(data: bytes) -> st.SearchStrategy[bytes]:
    forms = [data, base64.b64encode(data), data.hex().encode(), base64.b64encode(data)[:-1]]
    return st.sampled_from(forms)


anything = st.binary(max_size=200) | st.text(max_size=200).map(str.encode)


def run(data: bytes, *arguments: Any) -> int:
    """Both forms of the report; the exit code."""
    codes = set()
    for form in ((), ("--json",)):
        ran = inspect("-", *arguments, *form, stdin=data)
        codes.add(ran.code)
        if ran.code == 2:
            assert len(ran.sentence) < 1000
        elif form:
            assert ran.report
        else:
            assert ran.out.isascii()
    (code,) = codes
    return code


@given(data=(damaged(DOCUMENTS) | anything).flatmap(wrapped))
@example(data=DOCUMENTS[0])
def test_no_damaged_document_is_trusted(files: Path, data: bytes) -> None:
    code = run(data, *SIMULATED, "--policy", files / "policy.json")
    assert code in {1, 2, 3}


@given(data=damaged(DOCUMENTS[:1]))
def test_a_changed_document_is_not_authentic(data: bytes) -> None:
    if data != DOCUMENTS[0]:
        assert inspect("-", *SIMULATED, stdin=data).code in {1, 2}


@pytest.fixture(scope="module")
def key_is_read_once() -> Iterator[None]:
    """OpenSSL tests a key's primes whenever it is read: a fifth of a second each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envelope, "private_key", functools.cache(envelope.private_key))
        yield


@pytest.mark.usefixtures("key_is_read_once")
@given(data=(damaged(ENVELOPES) | anything).flatmap(wrapped))
def test_no_envelope_ends_in_a_stack_trace(files: Path, data: bytes) -> None:
    assert run(data, "--cms", "--key", files / "key.pem") in {0, 1, 2}


@given(data=anything)
def test_no_key_ends_in_a_stack_trace(files: Path, data: bytes) -> None:
    path = files / "any.key"
    path.write_bytes(data)
    assert inspect("-", "--cms", "--key", path, stdin=ENVELOPES[0]).code == 2


@given(
    data=st.text(max_size=100).map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Statement", "Effect", "Principal", "Action", "Condition"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_policy_ends_in_a_stack_trace(files: Path, data: bytes) -> None:
    path = files / "any.json"
    path.write_bytes(data)
    assert inspect("-", *SIMULATED, "--policy", path, stdin=DOCUMENTS[0]).code == 2
