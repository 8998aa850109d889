"""What `nitro-cli describe-eif` prints of an image file, for it and for `attested-kms eif`.

Members, their order and the way in which certificates are shown are those of `EifDescribeInfo`
(aws-nitro-enclaves-cli, `src/common/json_output.rs`) and `SignCertificateInfo`
(aws-nitro-enclaves-image-format, `src/utils/eif_reader.rs`), read and compared with the library's
own output by tests/interop; `inferred` is what OpenSSL calls things that no test has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsm_fake.eif import (
    Eif,
    EifBadMetadata,
    EifBadSignature,
    Measurements,
    Reading,
    measurements,
    verify_scanned,
)
from nsm_fake.eif.json_text import Members, sorted_members, write_pretty
from simulator.nitro_cli.versions import HASH_ALGORITHMS

if TYPE_CHECKING:
    from cryptography import x509

NITRO_CLI = "1.4.4"
UNVERIFIED = "Failed to get signature payload: UnverifiedSignature"

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OPENSSL_NAMES = {
    "2.5.4.3": "commonName",
    "2.5.4.4": "surname",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "countryName",
    "2.5.4.7": "localityName",
    "2.5.4.8": "stateOrProvinceName",
    "2.5.4.9": "streetAddress",
    "2.5.4.10": "organizationName",
    "2.5.4.11": "organizationalUnitName",
    "2.5.4.12": "title",
    "2.5.4.17": "postalCode",
    "2.5.4.42": "givenName",
    "0.9.2342.19200300.100.1.1": "userId",
    "0.9.2342.19200300.100.1.25": "domainComponent",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1",
    "1.2.840.10045.4.3.1": "ecdsa-with-SHA224",
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
    "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.113549.1.1.10": "rsassaPss",
    "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption",
    "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.3.101.112": "ED25519",
    "1.3.101.113": "ED448",
}
_UNFLATTENED = {
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    list: "a sequence",
}


class NotShown(EifBadMetadata):
    """The metadata read, but nitro-cli cannot print them (its E17)."""


def describe(
    path: Path, *, nitro_cli: str = NITRO_CLI, reading: Reading = Reading.STRICT
) -> Members:
    """The object that `describe-eif` prints. Raises EifError.

    As the real one, it shows a wrong checksum and the signature of another image's PCR0 as false,
    and fails for a signature that the certificate's key did not make.
    """
    eif = Eif.open(path, reading)
    scan = eif.scan()
    report = verify_scanned(eif, scan)
    metadata = eif.metadata()
    measured = measurements(eif, scan)
    members: list[tuple[str, Any]] = [
        ("EifVersion", eif.header.version),
        ("Measurements", measurement_members(measured, nitro_cli=nitro_cli)),
        ("IsSigned", report is not None),
    ]
    checked: list[tuple[str, Any]] = []
    if report is not None:
        if not report.is_genuine:
            raise EifBadSignature(
                f"{path}: its signature was not made with the key of the certificate beside it; "
                "sign the image again, with a certificate and a key that belong together.",
                real_text=UNVERIFIED,
            )
        members.append(("SigningCertificate", certificate_members(report.certificate)))
        checked.append(("SignatureCheck", report.covers_image))
    members.append(("CheckCRC", scan.crc == eif.header.crc))
    members += checked
    if metadata is not None:
        members.append(("ImageName", metadata["ImageName"]))
        members.append(("ImageVersion", metadata["ImageVersion"]))
        members.append(("Metadata", metadata_members(metadata)))
    return Members(members)


def measurement_members(measured: Measurements, *, nitro_cli: str = NITRO_CLI) -> Members:
    """`Measurements` as every command of nitro-cli prints them."""
    algorithm = HASH_ALGORITHMS[nitro_cli]
    return Members((("HashAlgorithm", algorithm), *measured.as_hex().items()))


def built(measured: Measurements, *, nitro_cli: str = NITRO_CLI) -> str:
    """What `build-enclave` and `sign-eif` print: the measurements alone, as JSON text."""
    members = measurement_members(measured, nitro_cli=nitro_cli)
    return write_pretty(Members((("Measurements", members),)))


def metadata_members(metadata: Mapping[str, Any]) -> Members:
    """`Metadata`: what the image was built with and from, then the custom members among them.

    A custom name that is one of AWS's stands twice. Raises NotShown for custom metadata that are
    no object, which build-enclave accepts and describe-eif cannot print.
    """
    custom = metadata["CustomMetadata"]
    if custom is not None and not isinstance(custom, Mapping):
        kind = _UNFLATTENED[type(custom)]
        reason = f"can only flatten structs and maps (got {kind})"
        raise NotShown(
            f"The custom metadata are {kind}, and only an object can be shown; build the image "
            "again with --metadata naming a file that holds a JSON object.",
            real_text=f'Error("{reason}", line: 0, column: 0)',
        )
    return Members(
        (
            *metadata["BuildMetadata"].items(),
            ("DockerInfo", sorted_members(metadata["DockerInfo"])),
            *sorted_members(custom or {}).items(),
        )
    )


def certificate_members(certificate: x509.Certificate) -> Members:
    """`SigningCertificate`, its issuer's names and its algorithm as OpenSSL calls them."""
    # Of several attributes of one type the last one counts, as in a map.
    issuer = {
        _openssl_name(attribute.oid.dotted_string): _debug_text(attribute.value)
        for attribute in certificate.issuer
    }
    return Members(
        (
            ("IssuerName", sorted_members(issuer)),
            ("Algorithm", _openssl_name(certificate.signature_algorithm_oid.dotted_string)),
            ("NotBefore", _openssl_time(certificate.not_valid_before_utc)),
            ("NotAfter", _openssl_time(certificate.not_valid_after_utc)),
            ("Signature", certificate.signature.hex(":").upper()),
        )
    )


def _openssl_name(dotted: str) -> str:
    return _OPENSSL_NAMES.get(dotted, dotted)


def _openssl_time(moment: Any) -> str:
    return f"{_MONTHS[moment.month - 1]} {moment.day:2} {moment:%H:%M:%S} {moment.year} GMT"


def _debug_text(value: str | bytes) -> str:
    """A text as Rust's `{:?}` shows it, all double quotes removed."""
    if isinstance(value, bytes):
        return "non-UTF8"
    named = {"\\": "\\\\", "\t": "\\t", "\r": "\\r", "\n": "\\n", "\0": "\\0", '"': "\\"}
    return "".join(
        named.get(letter, letter if letter.isprintable() else f"\\u{{{ord(letter):x}}}")
        for letter in value
    )
