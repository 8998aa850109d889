"""The attestation document: its payload map, and the COSE_Sign1 around it.

Bytes only: which registers, certificates and key go in is for `module` to say. Both functions are
public so that tests can build documents that no NSM would sign. The layout is that of 104 real
documents, every byte of structure included; AWS's `attestation_process.md` differs from them in
some points (tag 18, no nulls), and the documents win.
"""

import enum
from collections.abc import Mapping, Sequence

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PROTECTED_HEADER = bytes.fromhex("a1013822")
"""`{1: -35}`: algorithm ES384 (RFC 9053), and nothing else (reported: 104 documents)."""
_COORDINATE_LENGTH = 48
_ECDSA = ec.ECDSA(hashes.SHA384())
_INDEFINITE_MAP, _BREAK = b"\xbf", b"\xff"


class OuterMap(enum.Enum):
    """How the payload's outer map is written; the containers inside it are always definite."""

    INDEFINITE = "indefinite"
    """`bf` ... `ff`: hardware since 2025-07-18 at the latest (reported: 14 documents)."""
    DEFINITE = "definite"
    """`a9` ...: hardware until 2025-04-29 at least (reported: 90 documents)."""


def encode_payload(  # noqa: PLR0913  (the nine keys of the document)
    *,
    module_id: str,
    timestamp_ms: int,
    pcrs: Mapping[int, bytes],
    certificate: bytes,
    cabundle: Sequence[bytes],
    public_key: bytes | None,
    user_data: bytes | None,
    nonce: bytes | None,
    outer_map: OuterMap = OuterMap.INDEFINITE,
) -> bytes:
    """The payload of a document: one CBOR map with nine keys, in the order of AWS's Rust type.

    `timestamp_ms` counts from the Unix epoch; `pcrs` are written ascending; `certificate` is the
    leaf in DER, `cabundle` its chain in DER from the root down. None is written as null, and empty
    bytes as empty bytes (reported: 104 documents).
    """
    encoded = cbor2.dumps(
        {
            "module_id": module_id,
            "digest": "SHA384",
            "timestamp": timestamp_ms,
            "pcrs": dict(sorted(pcrs.items())),
            "certificate": certificate,
            "cabundle": list(cabundle),
            "public_key": public_key,
            "user_data": user_data,
            "nonce": nonce,
        }
    )
    if outer_map is OuterMap.DEFINITE:
        return encoded
    # cbor2 writes either every container with an indefinite length or none.
    return _INDEFINITE_MAP + encoded[1:] + _BREAK


def sign_payload(
    payload: bytes,
    private_key: ec.EllipticCurvePrivateKey,
    *,
    tagged: bool = False,
    deterministic: bool = False,
) -> bytes:
    """COSE_Sign1 (RFC 9052) over `payload` with ES384; `private_key` must be a P-384 key.

    The protected header is `a1013822`, the unprotected one is empty, and the signature is r || s,
    48 bytes each, with s high as often as low: the NSM does not normalise it. `tagged` puts tag
    18 in front, which the NSM does not do. `deterministic` draws the nonce as RFC 6979 does.
    """
    # It takes as long as all the rest of this package, and many enclaves never ask for a document.
    from pycose.messages import Sign1Message

    to_be_signed = cbor2.dumps(["Signature1", PROTECTED_HEADER, b"", payload])
    ecdsa = ec.ECDSA(hashes.SHA384(), deterministic_signing=True) if deterministic else _ECDSA
    r, s = decode_dss_signature(private_key.sign(to_be_signed, ecdsa))
    message = Sign1Message(phdr_encoded=PROTECTED_HEADER, payload=payload)
    # pycose would sign through a pure-Python curve, ten times slower.
    message.signature = r.to_bytes(_COORDINATE_LENGTH) + s.to_bytes(_COORDINATE_LENGTH)
    encoded: bytes = message.encode(tag=tagged, sign=False)
    return encoded
