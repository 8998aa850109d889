"""The bytes of documents, compared with a layout written down by hand."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from nsm_fake import NitroSecurityModule, OuterMap, pcr_of_instance_id
from nsm_fake.document import encode_payload, sign_payload

KEY = ec.derive_private_key(0xA77E57ED, ec.SECP384R1())
P384_ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffff"
    "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)
MINIMAL: Mapping[str, Any] = {
    "module_id": "mmm",
    "timestamp_ms": 1_600_000_000_000,
    "pcrs": {0: b"", 16: b"\x01"},
    "certificate": b"\x00",
    "cabundle": [b"\x01", b"\x02"],
    "public_key": b"\x02",
    "user_data": None,
    "nonce": b"",
}
MINIMAL_ENTRIES = bytes.fromhex(
    "696d6f64756c655f6964 636d6d6d "  # "module_id": "mmm"
    "66646967657374 66534841333834 "  # "digest": "SHA384"
    "6974696d657374616d70 1b00000174876e8000 "  # "timestamp", eight bytes
    "6470637273 a2 00 40 10 4101 "  # "pcrs": {0: h'', 16: h'01'}
    "6b6365727469666963617465 4100 "  # "certificate": h'00'
    "68636162756e646c65 82 4101 4102 "  # "cabundle": [h'01', h'02']
    "6a7075626c69635f6b6579 4102 "  # "public_key": h'02'
    "69757365725f64617461 f6 "  # "user_data": null
    "656e6f6e6365 40 "  # "nonce": h''
)


def split(document: bytes) -> list[Any]:
    parts: list[Any] = cbor2.loads(document)
    return parts


def verify(document: bytes, key: ec.EllipticCurvePublicKey) -> None:
    protected, _, payload, signature = split(document)
    r, s = int.from_bytes(signature[:48]), int.from_bytes(signature[48:])
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA384()))


def test_an_indefinite_payload_byte_by_byte() -> None:
    assert encode_payload(**MINIMAL) == b"\xbf" + MINIMAL_ENTRIES + b"\xff"


def test_a_definite_payload_byte_by_byte() -> None:
    payload = encode_payload(**MINIMAL, outer_map=OuterMap.DEFINITE)
    assert payload == b"\xa9" + MINIMAL_ENTRIES


def test_the_layout_of_the_official_encoder() -> None:
    """The DOC line of the known answers: AWS's own type, encoded by serde_cbor."""
    official = bytes.fromhex(
        "a9696d6f64756c655f6964616d66646967657374665348413338346974696d657374616d701b00000174876e80"
        "006470637273a200420000104201016b6365727469666963617465410168636162756e646c658141026a707562"
        "6c69635f6b65794069757365725f64617461f6656e6f6e6365f6"
    )
    payload = encode_payload(
        module_id="m",
        timestamp_ms=1_600_000_000_000,
        pcrs={16: b"\x01\x01", 0: b"\x00\x00"},
        certificate=b"\x01",
        cabundle=[b"\x02"],
        public_key=b"",
        user_data=None,
        nonce=None,
        outer_map=OuterMap.DEFINITE,
    )
    assert payload == official


def test_the_envelope_byte_by_byte() -> None:
    document = sign_payload(bytes(300), KEY)
    head = "8444a1013822a059012c"  # array(4), {1: -35}, {}, 300 bytes
    assert document[:10].hex() == head
    assert document[10:310] == bytes(300)
    assert document[310:312].hex() == "5860"
    assert len(document) == 312 + 96


def test_a_tag_only_if_it_is_asked_for() -> None:
    plain = sign_payload(b"payload", KEY, deterministic=True)
    tagged = sign_payload(b"payload", KEY, deterministic=True, tagged=True)
    assert tagged == b"\xd2" + plain


def test_signatures_hold_and_break_with_the_payload() -> None:
    document = sign_payload(b"payload", KEY)
    verify(document, KEY.public_key())
    protected, unprotected, payload, signature = split(document)
    bent = cbor2.dumps([protected, unprotected, payload + b"!", signature])
    with pytest.raises(InvalidSignature):
        verify(bent, KEY.public_key())


def test_deterministic_signatures_repeat_and_others_do_not() -> None:
    repeated = {sign_payload(b"payload", KEY, deterministic=True) for _ in range(3)}
    assert len(repeated) == 1
    assert len({sign_payload(b"payload", KEY) for _ in range(3)}) == 3


def test_s_is_as_often_high_as_low() -> None:
    """49 of 104 real ones are high; verifiers that demand low ones fail half of the time."""
    high = sum(
        int.from_bytes(sign_payload(bytes([n]), KEY, deterministic=True)[-48:]) > P384_ORDER // 2
        for n in range(32)
    )
    assert 8 <= high <= 24


def test_small_numbers_are_padded_to_48_bytes() -> None:
    """About one signature in 128 has a coordinate that begins with a zero byte."""
    signatures = [sign_payload(n.to_bytes(2), KEY, deterministic=True)[-96:] for n in range(400)]
    assert {len(signature) for signature in signatures} == {96}
    assert any(signature[0] == 0 or signature[48] == 0 for signature in signatures)


optional = st.none() | st.binary(max_size=64)


@settings(max_examples=100)
@given(
    pcrs=st.dictionaries(st.integers(0, 31), st.binary(min_size=48, max_size=48), min_size=1),
    fields=st.fixed_dictionaries(
        {"public_key": optional, "user_data": optional, "nonce": optional}
    ),
    outer_map=st.sampled_from(OuterMap),
)
def test_a_payload_says_what_was_put_in(
    pcrs: dict[int, bytes], fields: dict[str, bytes | None], outer_map: OuterMap
) -> None:
    payload = encode_payload(
        module_id="i-0123456789abcdef0-enc0123456789abcdef",
        timestamp_ms=1_785_784_796_857,
        pcrs=pcrs,
        certificate=b"leaf",
        cabundle=[b"root", b"regional", b"zonal", b"instance"],
        outer_map=outer_map,
        **fields,
    )
    decoded = cbor2.loads(payload)
    assert list(decoded) == [
        "module_id",
        "digest",
        "timestamp",
        "pcrs",
        "certificate",
        "cabundle",
        "public_key",
        "user_data",
        "nonce",
    ]
    assert list(decoded["pcrs"].items()) == sorted(pcrs.items())
    assert {name: decoded[name] for name in fields} == fields


def test_a_document_of_the_module_byte_by_byte(
    make_module: Callable[..., NitroSecurityModule], attest: Callable[..., bytes]
) -> None:
    module = make_module(role_arn="arn:aws:iam::123456789012:role/Web")
    document = attest(module, user_data=b"", nonce=None, public_key=b"\x05")
    payload = split(document)[2]
    decoded = cbor2.loads(payload)
    identity = module.identity

    def bytes_of(der: bytes) -> bytes:
        return b"\x59" + len(der).to_bytes(2) + der

    expected = (
        bytes.fromhex("bf696d6f64756c655f69647827")
        + identity.module_id.encode()
        + bytes.fromhex("66646967657374665348413338346974696d657374616d701b")
        + (1_785_784_796_857).to_bytes(8)
        + bytes.fromhex("6470637273b0")
        + b"".join(
            bytes([index]) + b"\x58\x30" + module.describe_pcr(index).value for index in range(16)
        )
        + bytes.fromhex("6b6365727469666963617465")
        + bytes_of(decoded["certificate"])
        + bytes.fromhex("68636162756e646c6584")
        + b"".join(bytes_of(der) for der in decoded["cabundle"])
        + bytes.fromhex("6a7075626c69635f6b6579410569757365725f6461746140")
        + bytes.fromhex("656e6f6e6365f6ff")
    )
    assert payload == expected
    assert document[:8].hex() == "8444a1013822a059"


def test_the_older_layout(
    make_module: Callable[..., NitroSecurityModule], attest: Callable[..., bytes]
) -> None:
    today = split(attest(make_module(seed=b"s")))[2]
    older = split(attest(make_module(seed=b"s", outer_map=OuterMap.DEFINITE)))[2]
    assert older == b"\xa9" + today[1:-1]


def test_real_documents_are_rebuilt_from_their_parts(shared_vectors: Path) -> None:
    """Every enclave's document: the payload from its values, the envelope from its payload."""
    files = sorted((shared_vectors / "attestation").glob("*.bin"))
    rebuilt = 0
    for file in files:
        document = file.read_bytes()
        protected, unprotected, payload, signature = split(document)
        values = cbor2.loads(payload)
        assert cbor2.dumps([protected, unprotected, payload, signature]) == document
        if "pcrs" not in values:
            continue  # NitroTPM, which is another device.
        values["timestamp_ms"] = values.pop("timestamp")
        assert values.pop("digest") == "SHA384"
        outer_map = OuterMap.INDEFINITE if payload[0] == 0xBF else OuterMap.DEFINITE
        assert encode_payload(**values, outer_map=outer_map) == payload, file.name
        rebuilt += 1
    assert rebuilt > 50


def test_pcr4_of_real_documents_is_the_instances(shared_vectors: Path) -> None:
    for file in sorted((shared_vectors / "attestation").glob("*.bin")):
        values = cbor2.loads(split(file.read_bytes())[2])
        if "pcrs" in values:
            instance_id = values["module_id"].partition("-enc")[0]
            assert values["pcrs"][4] == pcr_of_instance_id(instance_id), file.name
