"""The five kinds of certificate behind an attestation document, as real ones are profiled.

Each function makes one X.509 v3 certificate from the keys, numbers and times it is given; which
those are is for `pki` to say. Order and string types of the names, extensions, their order and
criticality, and the encodings of both are those of 104 real documents (evidence: reported), the
instance certificate's key identifiers as since 2024-07.

What is ours on purpose: the root's subject, so that nobody takes it for AWS's, and the hosts of
the revocation lists, which end in `simul.invalid` (RFC 2606) instead of `amazonaws.com`. Both are
as long as AWS's, so that sizes agree.
"""

import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

_CRL_DOMAIN = "simul.invalid"
_ECDSA_WITH_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")
"""AlgorithmIdentifier (RFC 5758)."""
_INTEGER, _BIT_STRING, _SEQUENCE = 0x02, 0x03, 0x30


@dataclass(frozen=True, slots=True)
class Validity:
    """Both ends in seconds since the Unix epoch, inclusive."""

    not_before: int
    not_after: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A certificate and its private key."""

    certificate: x509.Certificate
    der: bytes
    private_key: ec.EllipticCurvePrivateKey
    validity: Validity


@dataclass(frozen=True, slots=True)
class Issuance:
    """What is particular to one certificate: its key, serial number and validity."""

    private_key: ec.EllipticCurvePrivateKey
    serial: int
    validity: Validity
    deterministic: bool
    """Sign as RFC 6979 does, so that the same input gives the same bytes."""


def root(issuance: Issuance) -> Holder:
    """The self-signed root, `CN=sim.nitro-enclaves`: not AWS's, and it says so."""
    subject = _name(C="US", O="NotAWS", OU="SIM", CN="sim.nitro-enclaves")
    key = issuance.private_key.public_key()
    builder = (
        _builder(issuance, subject, subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_ca_key_usage(), critical=True)
    )
    return _sign(builder, issuance, issuance.private_key)


def regional(issuance: Issuance, issuer: Holder, *, name: str, region: str, crl: str) -> Holder:
    """A region's authority. `name` is 16 hexadecimal digits, `crl` the UUID of the root's list."""
    subject = _name(C="US", O="Amazon", OU="AWS", CN=f"{name}.{region}.aws.nitro-enclaves")
    url = f"http://aws-nitro-enclaves-crl.s3.{_CRL_DOMAIN}/crl/{crl}.crl"
    return _authority(issuance, issuer, subject, path_length=2, crl_url=url)


def zonal(issuance: Issuance, issuer: Holder, *, name: str, region: str, crl: str) -> Holder:
    """A zone's authority. `name` is a u64 in hexadecimal, unpadded; `crl` a UUID."""
    common_name = f"{name}.zonal.{region}.aws.nitro-enclaves"
    subject = _name(CN=common_name, OU="AWS", O="Amazon", C="US", ST="WA", L="Seattle")
    url = f"http://crl-{region}-aws-nitro-enclaves.s3.{region}.{_CRL_DOMAIN}/crl/{crl}.crl"
    return _authority(issuance, issuer, subject, path_length=1, crl_url=url)


def instance(issuance: Issuance, issuer: Holder, *, instance_id: str, region: str) -> Holder:
    """The authority of one parent instance; its serial number may have 160 bits."""
    subject = _name_in_seattle(f"{instance_id}.{region}.aws.nitro-enclaves")
    key = issuance.private_key.public_key()
    builder = (
        _builder(issuance, subject, issuer.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_issued_by(issuer), critical=False)
    )
    return _sign(builder, issuance, issuer.private_key)


def leaf(issuance: Issuance, issuer: Holder, *, module_id: str, region: str) -> Holder:
    """The certificate whose key signs documents: no key identifiers, no names beside its own."""
    subject = _name_in_seattle(f"{module_id}.{region}.aws")
    builder = (
        _builder(issuance, subject, issuer.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True, content_commitment=True), critical=False)
    )
    return _sign(builder, issuance, issuer.private_key)


def _authority(
    issuance: Issuance, issuer: Holder, subject: x509.Name, *, path_length: int, crl_url: str
) -> Holder:
    key = issuance.private_key.public_key()
    crl = x509.DistributionPoint(
        full_name=[x509.UniformResourceIdentifier(crl_url)],
        relative_name=None,
        reasons=None,
        crl_issuer=None,
    )
    builder = (
        _builder(issuance, subject, issuer.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_issued_by(issuer), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_ca_key_usage(), critical=True)
        .add_extension(x509.CRLDistributionPoints([crl]), critical=False)
    )
    return _sign(builder, issuance, issuer.private_key)


_ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}


def _name(**attributes: str) -> x509.Name:
    """A name with `attributes` in the order given: C a PrintableString, the others UTF8String."""
    return x509.Name([x509.NameAttribute(_ATTRIBUTES[k], v) for k, v in attributes.items()])


def _name_in_seattle(common_name: str) -> x509.Name:
    return _name(C="US", ST="Washington", L="Seattle", O="Amazon", OU="AWS", CN=common_name)


def _builder(issuance: Issuance, subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(issuance.private_key.public_key())
        .not_valid_before(_utc(issuance.validity.not_before))
        .not_valid_after(_utc(issuance.validity.not_after))
    )


def _utc(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _issued_by(issuer: Holder) -> x509.AuthorityKeyIdentifier:
    key = issuer.private_key.public_key()
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _ca_key_usage() -> x509.KeyUsage:
    return _key_usage(digital_signature=True, key_cert_sign=True, crl_sign=True)


def _key_usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(
    builder: x509.CertificateBuilder,
    issuance: Issuance,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> Holder:
    """Sign with ecdsa-with-SHA384."""
    oversize = issuance.serial.bit_length() > 159
    certificate = builder.serial_number(1 if oversize else issuance.serial).sign(
        issuer_key, hashes.SHA384(), ecdsa_deterministic=issuance.deterministic
    )
    der = certificate.public_bytes(Encoding.DER)
    if oversize:
        der = _with_serial(certificate, issuance, issuer_key)
        certificate = x509.load_der_x509_certificate(der)
    return Holder(certificate, der, issuance.private_key, issuance.validity)


def _with_serial(
    certificate: x509.Certificate,
    issuance: Issuance,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> bytes:
    """`certificate` in DER with the issuance's serial number, signed anew.

    Half of the real instance certificates have a serial number of 21 bytes. RFC 5280 allows 20,
    and so does the builder; a verifier that refuses 21 must meet them here.
    """
    # tbsCertificate is a SEQUENCE with a length in two bytes, then version v3, then the serial.
    content = certificate.tbs_certificate_bytes[4:]
    version, serial_length = content[:5], content[6]
    rest = content[7 + serial_length :]
    serial = issuance.serial.to_bytes(issuance.serial.bit_length() // 8 + 1)
    to_be_signed = _der(_SEQUENCE, version + _der(_INTEGER, serial) + rest)
    ecdsa = ec.ECDSA(hashes.SHA384(), deterministic_signing=issuance.deterministic)
    signature = b"\x00" + issuer_key.sign(to_be_signed, ecdsa)
    return _der(_SEQUENCE, to_be_signed + _ECDSA_WITH_SHA384 + _der(_BIT_STRING, signature))


def _der(tag: int, content: bytes) -> bytes:
    """One DER element, of less than 128 or of 256 to 65535 bytes: those that stand here."""
    length = len(content)
    head = bytes([length]) if length < 0x80 else b"\x82" + length.to_bytes(2)
    return bytes([tag]) + head + content
