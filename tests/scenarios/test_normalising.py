"""What two runs share of a text, and what is never kept."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.normalising import LONGEST, normalised, shape

KEY = "arn:aws:kms:us-east-1:123456789012:key/960930f7-63ae-4f4c-b853-62ad2bc73434"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{KEY} is disabled.", "arn:aws:kms:<region>:<account>:key/<key-id> is disabled."),
        (f"Key '{KEY}' does not", "Key 'arn:aws:kms:<region>:<account>:key/<key-id>' does not"),
        (
            "User: arn:aws-cn:sts::123456789012:assumed-role/host/i-0123456789abcdef0 is not",
            "User: arn:aws:sts::<account>:assumed-role/<role>/<session> is not",
        ),
        ("arn:aws:iam::123456789012:root", "arn:aws:iam::<account>:root"),
        ("arn:aws:iam::123456789012:role/path/name", "arn:aws:iam::<account>:role/<role>"),
        ("account 123456789012.", "account <account>."),
        ("Invalid keyId '960930f7-63ae-4f4c-b853-62ad2bc73434'", "Invalid keyId '<uuid>'"),
        ("mrk-1234abcd12ab34cd56ef1234567890ab", "<key-id>"),
        ("i-0123456789abcdef0-enc0123456789abcd and i-0123456789abcdef0", "<enclave-id> and "),
        ("Started enclave with enclave-cid: 16, memory: 512 MiB", "enclave-cid: <number>, memory"),
        ('"EnclaveCID": 16,\n  "ProcessID": 4711', '"EnclaveCID": <number>,\n  "ProcessID": <num'),
        ("/var/log/nitro_enclaves/err2026-01-27T21:00:00.123+00:00.log", "/err<time>.log"),
        ("[    0.123456] Linux version", "[<seconds>] Linux version"),
        ("/tmp/attested-kms-x_1/app.eif", "<temporary>/app.eif"),  # noqa: S108  # Text.
        ("from ip-10-0-0-1 (10.0.0.1), not 127.0.0.1", "from <host> (<address>), not 127.0.0.1"),
        ("ASIAIOSFODNN7EXAMPLE", "<access-key-id>"),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "<base64 of 40 characters>"),
        ("ab" * 48, "<sha384>"),
        ("AB" * 48, "<SHA384>"),
        ("00" * 48, "00" * 48),
        (f"value: {bytes(range(256))!r}, type:", "value: <bytes>, type:"),
        ("value: " + repr(b"i-0123456789abcdef0 isn't") + ", type:", "value: <bytes>, type:"),
        ("nitro-cli 1.4.4, /usr/share/nitro_enclaves/blobs//cmdline", "nitro-cli 1.4.4, /usr/sh"),
    ],
)
def test_what_differs_from_run_to_run_becomes_a_placeholder(text: str, wanted: str) -> None:
    assert wanted in normalised(text)
    assert normalised(normalised(text)) == normalised(text)


def test_a_long_text_is_cut_with_a_mark() -> None:
    kept = normalised("word " * LONGEST)
    assert kept.startswith("word word")
    assert kept.endswith(f"[{4 * LONGEST} more characters]")


@given(st.binary(min_size=48, max_size=600))
def test_no_blob_survives_as_text(blob: bytes) -> None:
    text = base64.b64encode(blob).decode()
    assume_mixed = any(c.islower() for c in text) and any(c.isupper() for c in text)
    if assume_mixed and any(c.isdigit() for c in text):
        assert normalised(f"sent {text}") == f"sent <base64 of {len(text)} characters>"


def test_of_a_plaintext_the_length_is_kept_and_nothing_else() -> None:
    members = {"Plaintext": b"secret", "Nested": {"SharedSecret": "c2VjcmV0"}, "KeyId": KEY}
    assert shape(members) == {
        "Plaintext": {"bytes": 6},
        "Nested": {"SharedSecret": {"characters": 8}},
        "KeyId": "arn:aws:kms:<region>:<account>:key/<key-id>",
    }


def test_null_empty_and_absent_stay_apart() -> None:
    assert shape({"Plaintext": None}) == {"Plaintext": None}
    assert shape({"Plaintext": ""}) == {"Plaintext": ""}
    assert shape({"Plaintext": b""}) == {"Plaintext": {"bytes": 0}}


def test_the_first_bytes_are_kept_where_they_say_how_a_blob_is_built() -> None:
    members = {"AttestationDocument": b"\x84\x44" * 100, "CiphertextBlob": bytes(70)}
    assert shape(members) == {
        "AttestationDocument": {"bytes": 200, "begins": "8444" * 8},
        "CiphertextBlob": {"bytes": 70},
    }


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.just(object()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@settings(max_examples=30)
@given(st.dictionaries(st.text(), ANY, max_size=3))
def test_every_shape_is_json(members: dict[str, object]) -> None:
    assert json.loads(json.dumps(shape(members))) == shape(members)
