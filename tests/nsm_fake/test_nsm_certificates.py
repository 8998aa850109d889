"""The profile of the five certificates, field by field, read by a parser of its own (asn1crypto).

The expected values are those measured on 104 real attestation documents.
"""

import datetime as dt
import hashlib
import itertools
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from asn1crypto import x509 as asn1

from nsm_fake import EnclaveIdentity, NitroSecurityModule, NsmPki
from nsm_fake.pki import SigningChain

START_MS = 1_785_784_796_857
ISSUED = START_MS // 1000
INSTANCE_ID = "i-0123456789abcdef0"
LEVELS = ["root", "regional", "zonal", "instance", "leaf"]


@pytest.fixture(scope="module")
def identity() -> EnclaveIdentity:
    return EnclaveIdentity.create(clock=lambda: START_MS, instance_id=INSTANCE_ID, seed=b"x")


@pytest.fixture(scope="module")
def chain(identity: EnclaveIdentity) -> SigningChain:
    return NsmPki(b"profile").issue(identity, START_MS)


@pytest.fixture(scope="module")
def parsed(chain: SigningChain) -> dict[str, Any]:
    ders = [*chain.cabundle, chain.certificate]
    return {n: asn1.Certificate.load(d, strict=True) for n, d in zip(LEVELS, ders, strict=True)}


def tbs(certificate: Any) -> Any:
    return certificate["tbs_certificate"]


def names(name: Any) -> list[tuple[str, str, str]]:
    """Attribute, value and ASN.1 string type, in encoded order."""
    return [
        (pair["type"].native, pair["value"].native, type(pair["value"].chosen).__name__)
        for rdn in name.chosen
        for pair in rdn
    ]


def typed(**attributes: str) -> list[tuple[str, str, str]]:
    return [
        (name, value, "PrintableString" if name == "country_name" else "UTF8String")
        for name, value in attributes.items()
    ]


def common_name(certificate: Any) -> str:
    value: str = certificate.subject.native["common_name"]
    return value


def extensions(certificate: Any) -> list[tuple[str, bool]]:
    return [(e["extn_id"].native, e["critical"].native) for e in tbs(certificate)["extensions"]]


def extension(certificate: Any, name: str) -> str:
    """The value of an extension: the DER inside its OCTET STRING, as hexadecimal."""
    (value,) = (
        e["extn_value"].contents
        for e in tbs(certificate)["extensions"]
        if e["extn_id"].native == name
    )
    encoded: bytes = value
    return encoded.hex()


def validity(certificate: Any) -> tuple[int, int]:
    start, end = certificate.not_valid_before, certificate.not_valid_after
    return int(start.timestamp()), int(end.timestamp())


@pytest.mark.parametrize("level", LEVELS)
def test_keys_and_signatures(parsed: dict[str, Any], level: str) -> None:
    certificate = parsed[level]
    key = tbs(certificate)["subject_public_key_info"]
    assert tbs(certificate)["version"].native == "v3"
    assert key["algorithm"]["algorithm"].native == "ec"
    assert key["algorithm"]["parameters"].native == "secp384r1"
    point = key["public_key"].native
    assert (len(point), point[0]) == (97, 4)
    for algorithm in (certificate["signature_algorithm"], tbs(certificate)["signature"]):
        assert algorithm.dump().hex() == "300a06082a8648ce3d040303"


def test_subjects(parsed: dict[str, Any], identity: EnclaveIdentity) -> None:
    aws = {"organization_name": "Amazon", "organizational_unit_name": "AWS"}
    seattle = {"state_or_province_name": "Washington", "locality_name": "Seattle"}
    regional, zonal = common_name(parsed["regional"]), common_name(parsed["zonal"])
    assert names(parsed["root"].subject) == typed(
        country_name="US",
        organization_name="NotAWS",
        organizational_unit_name="SIM",
        common_name="sim.nitro-enclaves",
    )
    assert names(parsed["regional"].subject) == typed(
        country_name="US", **aws, common_name=regional
    )
    assert names(parsed["zonal"].subject) == typed(
        common_name=zonal,
        organizational_unit_name="AWS",
        organization_name="Amazon",
        country_name="US",
        state_or_province_name="WA",
        locality_name="Seattle",
    )
    assert names(parsed["instance"].subject) == typed(
        country_name="US",
        **seattle,
        **aws,
        common_name=f"{INSTANCE_ID}.us-east-1.aws.nitro-enclaves",
    )
    assert names(parsed["leaf"].subject) == typed(
        country_name="US", **seattle, **aws, common_name=f"{identity.module_id}.us-east-1.aws"
    )


def test_names_of_authorities(parsed: dict[str, Any]) -> None:
    name, _, rest = common_name(parsed["regional"]).partition(".")
    assert (len(name), rest) == (16, "us-east-1.aws.nitro-enclaves")
    int(name, 16)
    name, _, rest = common_name(parsed["zonal"]).partition(".")
    assert rest == "zonal.us-east-1.aws.nitro-enclaves"
    assert f"{int(name, 16):x}" == name


def test_each_is_issued_by_the_one_above(parsed: dict[str, Any]) -> None:
    assert parsed["root"].issuer == parsed["root"].subject
    for issuer, issued in itertools.pairwise(LEVELS):
        assert parsed[issued].issuer.dump() == parsed[issuer].subject.dump()


def test_serial_numbers(parsed: dict[str, Any], identity: EnclaveIdentity) -> None:
    for level, lengths in (("root", (16, 17)), ("regional", (16, 17)), ("zonal", (16, 17))):
        assert len(tbs(parsed[level])["serial_number"].contents) in lengths
    assert len(tbs(parsed["instance"])["serial_number"].contents) in (20, 21)
    serial = parsed["leaf"].serial_number
    assert f"{serial:032x}" == identity.module_id[-16:] + f"{ISSUED:016x}"


def test_serial_numbers_of_instances_have_160_bits(identity: EnclaveIdentity) -> None:
    """Half of the real ones take 21 bytes, which is one more than RFC 5280 allows."""
    lengths = set()
    for seed in (b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7"):
        der = NsmPki(seed).issue(identity, START_MS).cabundle[3]
        certificate = asn1.Certificate.load(der, strict=True)
        lengths.add(len(tbs(certificate)["serial_number"].contents))
        assert certificate.serial_number > 0
    assert lengths == {20, 21}


def test_validities(parsed: dict[str, Any]) -> None:
    first, last = parsed["root"].not_valid_before, parsed["root"].not_valid_after
    assert first == dt.datetime(2019, 10, 28, 13, 28, 5, tzinfo=dt.UTC)
    assert last == dt.datetime(2049, 10, 28, 14, 28, 5, tzinfo=dt.UTC)
    lengths = {level: validity(parsed[level])[1] - validity(parsed[level])[0] for level in LEVELS}
    assert lengths["regional"] == (20 * 24 + 1) * 3600
    assert lengths["zonal"] % 3600 == 0
    assert 133 <= lengths["zonal"] // 3600 <= 145
    assert lengths["instance"] == 24 * 3600
    assert validity(parsed["leaf"]) == (ISSUED - 3, ISSUED + 3 * 3600)


def test_extensions_and_their_order(parsed: dict[str, Any]) -> None:
    authority = [
        ("basic_constraints", True),
        ("authority_key_identifier", False),
        ("key_identifier", False),
        ("key_usage", True),
        ("crl_distribution_points", False),
    ]
    assert {level: extensions(parsed[level]) for level in LEVELS} == {
        "root": [("basic_constraints", True), ("key_identifier", False), ("key_usage", True)],
        "regional": authority,
        "zonal": authority,
        "instance": [
            ("basic_constraints", True),
            ("key_usage", True),
            ("key_identifier", False),
            ("authority_key_identifier", False),
        ],
        "leaf": [("basic_constraints", True), ("key_usage", False)],
    }


def test_basic_constraints(parsed: dict[str, Any]) -> None:
    assert {level: extension(parsed[level], "basic_constraints") for level in LEVELS} == {
        "root": "30030101ff",
        "regional": "30060101ff020102",
        "zonal": "30060101ff020101",
        "instance": "30060101ff020100",
        "leaf": "3000",
    }


def test_key_usage(parsed: dict[str, Any]) -> None:
    assert {level: extension(parsed[level], "key_usage") for level in LEVELS} == {
        "root": "03020186",
        "regional": "03020186",
        "zonal": "03020186",
        "instance": "03020204",
        "leaf": "030206c0",
    }


def test_key_identifiers(parsed: dict[str, Any]) -> None:
    """SHA-1 of the key's bits (RFC 5280, method 1); of the issuer only its key identifier."""
    identifiers = {}
    for level in LEVELS[:4]:
        point = tbs(parsed[level])["subject_public_key_info"]["public_key"].native
        identifiers[level] = hashlib.sha1(point, usedforsecurity=False).hexdigest()
        assert extension(parsed[level], "key_identifier") == "0414" + identifiers[level]
    for issuer, issued in itertools.pairwise(LEVELS[:4]):
        expected = "30168014" + identifiers[issuer]
        assert extension(parsed[issued], "authority_key_identifier") == expected


def test_revocation_lists_are_nowhere(parsed: dict[str, Any]) -> None:
    (regional,) = parsed["regional"].crl_distribution_points
    (zonal,) = parsed["zonal"].crl_distribution_points
    uuid = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    assert re.fullmatch(
        rf"http://aws-nitro-enclaves-crl\.s3\.simul\.invalid/crl/{uuid}\.crl", regional.url
    )
    assert re.fullmatch(
        rf"http://crl-us-east-1-aws-nitro-enclaves\.s3\.us-east-1\.simul\.invalid/crl/{uuid}\.crl",
        zonal.url,
    )


def test_the_region_is_in_every_name_below_the_root() -> None:
    identity = EnclaveIdentity.create(clock=lambda: START_MS, region="ap-southeast-1")
    issued = NsmPki(b"profile").issue(identity, START_MS)
    for der in (*issued.cabundle[1:], issued.certificate):
        assert ".ap-southeast-1.aws" in common_name(asn1.Certificate.load(der))


def test_the_root_cannot_be_mistaken_for_aws(chain: SigningChain) -> None:
    assert b"NotAWS" in chain.cabundle[0]
    assert b"aws.nitro-enclaves" not in chain.cabundle[0]


def bare_size(der: bytes) -> int:
    """The size of a certificate without what varies: its serial number and its signature."""
    certificate = asn1.Certificate.load(der)
    serial = len(tbs(certificate)["serial_number"].contents)
    return len(der) - serial - len(certificate["signature_value"].contents)


def newest_document(vectors: Path) -> bytes:
    return (vectors / "attestation" / "20260803T193615Z_us-east-1_13a44c64.bin").read_bytes()


def test_the_profile_is_that_of_the_newest_real_document(
    shared_vectors: Path, chain: SigningChain
) -> None:
    """As the verifier beside the real documents describes certificates."""
    profile = runpy.run_path(str(shared_vectors / "verify_attestation.py"))["cert_profile"]
    payload = cbor2.loads(cbor2.loads(newest_document(shared_vectors))[2])
    real = [*payload["cabundle"], payload["certificate"]]
    ours = [*chain.cabundle, chain.certificate]
    for theirs, mine in zip(map(profile, real), map(profile, ours), strict=True):
        assert mine["version"] == theirs["version"]
        assert (mine["key"], mine["sig_alg"]) == (theirs["key"], theirs["sig_alg"])
        for name in ("subject", "issuer"):
            assert [(a, t) for a, _, t in mine[name]] == [(a, t) for a, _, t in theirs[name]]
        assert [(o, c) for o, c, _ in mine["ext"]] == [(o, c) for o, c, _ in theirs["ext"]]
        fixed = ("basicConstraints", "keyUsage")
        assert [e for e in mine["ext"] if e[0] in fixed] == [
            e for e in theirs["ext"] if e[0] in fixed
        ]
    assert [bare_size(der) for der in ours] == [bare_size(der) for der in real]
    for level in (0, 1, 3, 4):
        assert profile(ours[level])["validity_s"] == profile(real[level])["validity_s"]


def test_a_document_is_as_long_as_the_newest_real_one(
    shared_vectors: Path,
    make_module: Callable[..., NitroSecurityModule],
    attest: Callable[..., bytes],
) -> None:
    """Up to the sizes of serial numbers and signatures, which vary there and here."""

    def bare(document: bytes) -> int:
        payload = cbor2.loads(cbor2.loads(document)[2])
        ders = [*payload["cabundle"], payload["certificate"]]
        return len(document) - sum(len(der) - bare_size(der) for der in ders)

    ours = attest(make_module(pki=NsmPki(b"profile")))
    assert bare(ours) == bare(newest_document(shared_vectors))
    assert 4450 <= len(ours) <= 4470
