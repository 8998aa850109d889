"""`attested-kms inspect` on attestation documents: verdicts, rules, encodings, exit codes."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from jsonschema import Draft202012Validator

from kms_fake.roots import aws_root
from nsm_fake import NsmPki
from nsm_fake.document import OuterMap, encode_payload, sign_payload
from nsm_fake.pki import SigningChain
from simulator.inspection.moments import in_words
from tests.simulator.inspected import (
    AT,
    NOW_MS,
    ROLE,
    SCHEMA,
    SEED,
    SIMULATED,
    document,
    inspect,
    inspected,
    nsm,
    response,
    rules,
    spki,
)

SECOND_MS = 1000
HOUR_MS = 3_600_000


def test_a_good_document_gets_both_verdicts() -> None:
    report = inspected(document(), *SIMULATED)
    assert (report["authentic"], report["usable"], report["exit_code"]) == (True, True, 0)
    assert report["refusals"] == []
    assert report["as_given"] is None
    assert report["judged"] == {"at": AT, "at_ms": NOW_MS, "at_is": "document", "roots": ["sim"]}
    assert report["document"]["age_ms"] == 0
    assert report["document"]["outer_map"] == "indefinite"
    assert report["document"]["nonce_bytes"] == 5
    assert report["document"]["user_data_bytes"] is None


def test_the_report_for_people_says_the_same() -> None:
    ran = inspect("-", *SIMULATED, stdin=document())
    assert (ran.code, ran.err) == (0, "")
    assert "authentic                  yes" in ran.out
    assert "usable as a KMS Recipient  yes" in ran.out
    assert "No rule about documents refuses it." in ran.out
    assert "SubjectPublicKeyInfo, RSA-2048" in ran.out
    assert "zero: PCR5-7, PCR9-15" in ran.out


@pytest.mark.parametrize(
    ("key", "first", "kind", "fix"),
    [
        (None, "public-key.missing", "absent", "bug 8.2"),
        (b"", "public-key.missing", "empty", "bug 8.2"),
        ("pkcs1", "public-key.encoding", "pkcs1", "bug 8.3"),
        ("pem", "public-key.encoding", "pem", "DER inside the PEM"),
        ("raw", "public-key.encoding", "raw-32-bytes", "32 bytes"),
        ("point", "public-key.encoding", "ec-point", "EC point"),
        ("text", "public-key.encoding", "text", "decode the text"),
        ("ec", "public-key.algorithm", "spki-other", "needs an RSA key"),
        (b"\xff" * 40, "public-key.encoding", "other", "SubjectPublicKeyInfo"),
    ],
)
def test_a_public_key_that_kms_does_not_take(
    key: bytes | str | None, first: str, kind: str, fix: str
) -> None:
    report = inspected(document(key), *SIMULATED)
    assert (report["authentic"], report["usable"], report["exit_code"]) == (True, False, 3)
    assert rules(report) == [first]
    assert report["document"]["public_key"]["kind"] == kind
    assert fix in report["document"]["public_key"]["fix"]


def test_a_key_of_another_size_and_one_that_is_not_der() -> None:
    report = inspected(document(spki(1024)), *SIMULATED)
    assert rules(report) == ["public-key.size"]
    assert report["document"]["public_key"]["bits"] == 1024
    ber = b"\x30\x83\x00" + spki()[2:]
    report = inspected(document(ber), *SIMULATED)
    assert rules(report) == ["public-key.encoding"]
    even = spki()[:-6] + bytes([spki()[-6] ^ 1]) + spki()[-5:]
    report = inspected(document(even), *SIMULATED)
    assert rules(report) == ["public-key.encoding"]
    assert "even" in report["document"]["public_key"]["words"]


def test_every_rule_is_told_in_order_and_what_only_follows_is_marked() -> None:
    """A stale document with PKCS#1: KMS names the first, its owner sees all three."""
    late = in_words(NOW_MS + 4 * HOUR_MS)
    root = ("--root", "sim", "--seed", SEED)
    report = inspected(document("pkcs1"), *root, "--at", late)
    assert rules(report) == ["document.validity", "document.age", "public-key.encoding"]
    assert report["exit_code"] == 1
    follows = {each["rule"]: each["follows_from"] for each in report["refusals"]}
    assert follows["public-key.algorithm"] == follows["public-key.size"] == "public-key.encoding"
    assert "--at document" in report["notes"][0]
    assert {each["concerns"] for each in report["refusals"][:1]} == {"authentic"}


@pytest.mark.parametrize(
    ("passed_ms", "first", "code"),
    [
        (300 * SECOND_MS, [], 0),
        (301 * SECOND_MS, ["document.age"], 3),
        (-2 * SECOND_MS, [], 0),
        (-301 * SECOND_MS, ["document.validity", "document.future"], 1),
    ],
)
def test_age_and_validity_at_a_given_time(passed_ms: int, first: list[str], code: int) -> None:
    at = in_words(NOW_MS + passed_ms)
    report = inspected(document(), "--root", "sim", "--seed", SEED, "--at", at)
    assert (rules(report), report["exit_code"]) == (first, code)
    assert report["document"]["age_ms"] == passed_ms
    assert report["judged"]["at_is"] == "given"


def test_a_time_without_a_zone_is_utc_and_now_is_the_default() -> None:
    at = ("--at", AT.removesuffix("Z"))
    assert inspected(document(), "--root", "sim", "--seed", SEED, *at)["judged"]["at"] == AT
    assert inspected(document())["judged"]["at_is"] == "now"


def test_a_simulators_document_is_told_from_a_forged_one(tmp_path: Path) -> None:
    """The default is AWS's root, which does not vouch for what nsm_fake signs."""
    report = inspected(document(), "--at", "document")
    assert (report["exit_code"], rules(report)) == (1, ["document.root"])
    assert "NotAWS" in report["notes"][0]
    assert "--root FILE" in report["notes"][0]
    root = tmp_path / "root.pem"
    root.write_bytes(NsmPki(SEED.encode()).root_certificate_pem)
    given = ("--root", root, "--root", "aws", "--at", "document")
    assert inspected(document(), *given)["exit_code"] == 0


def test_the_root_may_be_der_and_another_one_is_named(tmp_path: Path) -> None:
    root = tmp_path / "aws.der"
    root.write_bytes(aws_root().public_bytes(Encoding.DER))
    report = inspected(document(), "--root", root, "--at", "document")
    assert (report["exit_code"], report["judged"]["roots"]) == (1, [str(root)])


def test_one_flipped_byte_is_seen() -> None:
    damaged = bytearray(document())
    damaged[-1] ^= 1
    report = inspected(bytes(damaged), *SIMULATED)
    assert (rules(report), report["exit_code"]) == (["document.signature"], 1)


def test_debug_mode_is_recognised() -> None:
    report = inspected(document(debug_mode=True), *SIMULATED)
    assert report["document"]["debug_mode"] is True
    assert any("debug mode" in note for note in report["notes"])
    zero = [pcr["index"] for pcr in report["document"]["pcrs"] if pcr["zero"]]
    assert zero == [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    assert inspected(document(), *SIMULATED)["document"]["debug_mode"] is False


def test_pcr4_is_derived_from_the_module_id() -> None:
    report = inspected(document(), *SIMULATED)
    told = {pcr["index"]: pcr["explained"] for pcr in report["document"]["pcrs"]}
    assert told[4] == f"is that of {report['document']['instance_id']}"
    assert told[3] is None  # No role was named, and a hash cannot be turned back.


# Encodings.


def wrapped(text: bytes) -> bytes:
    return "\n".join(textwrap.wrap(text.decode(), 64)).encode() + b"\n"


@pytest.mark.parametrize(
    ("data", "encodings"),
    [
        (document(), []),
        (base64.b64encode(document()), ["base64"]),
        (base64.b64encode(document()).rstrip(b"="), ["base64"]),
        (base64.urlsafe_b64encode(document()), ["base64"]),
        (wrapped(base64.b64encode(document())), ["base64"]),
        (wrapped(base64.b64encode(document())).replace(b"\n", b"\r\n"), ["base64"]),
        (document().hex().encode(), ["hex"]),
        (b"0x" + document().hex().upper().encode(), ["hex"]),
        (document().hex(" ", 2).encode() + b"\n", ["hex"]),
        (base64.b64encode(document()).decode().encode("utf-16"), ["base64"]),
        (b"\xef\xbb\xbf" + base64.b64encode(document()), ["base64"]),
    ],
)
def test_an_encoding_is_taken_off(data: bytes, encodings: list[str]) -> None:
    report = inspected(data, *SIMULATED)
    assert report["exit_code"] == 0
    assert report["input"]["encodings"] == encodings
    assert report["input"]["bytes"] == len(document())
    assert report["as_given"] is None


@pytest.mark.parametrize(
    ("data", "encodings"),
    [
        (base64.b64encode(base64.b64encode(document())), ["base64"] * 2),
        (wrapped(base64.b64encode(wrapped(base64.b64encode(document())))), ["base64"] * 2),
        (base64.b64encode(base64.b64encode(base64.b64encode(document()))), ["base64"] * 3),
        (base64.b64encode(document().hex().encode()), ["base64", "hex"]),
    ],
)
def test_one_encoding_too_many_is_recognised(data: bytes, encodings: list[str]) -> None:
    """What the AWS CLI makes of a document in base64, and boto3 of a str."""
    report = inspected(data, *SIMULATED)
    assert report["input"]["encodings"] == encodings
    assert (report["authentic"], report["usable"], report["exit_code"]) == (True, False, 3)
    assert report["refusals"] == []
    assert report["as_given"]["rule"] == "document.structure"
    note = report["notes"][0]
    assert note.startswith(f"this is {' of '.join(encodings)}")
    assert "not a str" in note
    assert "AttestationDocument@=fileb://FILE" in note


def test_a_whole_response_of_the_nsm_is_recognised() -> None:
    report = inspected(response(spki()), *SIMULATED)
    assert report["input"]["nsm_response"] is True
    assert (report["authentic"], report["usable"], report["exit_code"]) == (True, False, 3)
    assert report["as_given"]["rule"] == "document.structure"
    assert "whole response of the NSM" in report["notes"][0]


def signed(payload: bytes, *, tagged: bool = False) -> bytes:
    return sign_payload(payload, nsm_chain().private_key, tagged=tagged)


def nsm_chain() -> SigningChain:
    return NsmPki(SEED.encode()).issue(nsm().identity, NOW_MS)


def payload(*, outer_map: OuterMap = OuterMap.INDEFINITE, timestamp_ms: int = NOW_MS) -> bytes:
    chain = nsm_chain()
    return encode_payload(
        module_id=nsm().identity.module_id,
        timestamp_ms=timestamp_ms,
        pcrs={0: bytes(48)},
        certificate=chain.certificate,
        cabundle=chain.cabundle,
        public_key=spki(),
        user_data=None,
        nonce=None,
        outer_map=outer_map,
    )


def test_layouts_are_told() -> None:
    report = inspected(signed(payload(outer_map=OuterMap.DEFINITE), tagged=True), *SIMULATED)
    assert (report["document"]["outer_map"], report["document"]["tagged"]) == ("definite", True)
    assert report["exit_code"] == 0


def test_a_timestamp_in_seconds_is_recognised() -> None:
    report = inspected(signed(payload(timestamp_ms=NOW_MS // 1000)), *SIMULATED)
    assert any("looks like seconds" in note for note in report["notes"])


def test_a_timestamp_beyond_all_calendars_is_no_trouble() -> None:
    report = inspected(signed(payload(timestamp_ms=2**64 - 1)), *SIMULATED)
    assert report["document"]["timestamp"] == f"{2**64 - 1} ms after 1970"
    assert report["exit_code"] == 1


def test_qemus_documents_are_recognised() -> None:
    qemu = cbor2.dumps([bytes.fromhex("a10120"), {}, payload(), bytes(64)])
    report = inspected(qemu, *SIMULATED)
    assert (rules(report), report["exit_code"]) == (["document.structure"], 1)
    assert "QEMU" in report["notes"][0]


# What is no document.


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "looks like empty"),
        (b"\n \n", "looks like empty"),
        (b"a sentence of several words\n", "looks like text"),
        (b"-----BEGIN CERTIFICATE-----\nYWJj\n", "looks like PEM"),
        (NsmPki(SEED.encode()).root_certificate_der, "looks like an X.509 certificate"),
        (NsmPki(SEED.encode()).root_certificate_pem, "looks like PEM"),
        (spki(), "looks like a public key"),
        (b".eif" + bytes(600), "looks like an enclave image"),
        (b".eif" + bytes(5_000_000), "looks like an enclave image"),
        (bytes(5_000_000), "has more than"),
        (b"0\x80\x06\x09*\x86H\x86\xf7\x0d\x01\x07\x03\xa0\x80", "inspect it with --cms"),
        (b'{"AttestationDocument": "hEShATgi"}', "looks like JSON"),
        (repr(document()[:20]).encode(), "str() or repr()"),
        (payload(), "without the COSE_Sign1 around it"),
        (cbor2.dumps({"Error": "InputTooLarge"}), "the NSM refused to attest"),
        (response(spki())[:-9], "cut short or damaged"),
        (b"\x00\x01\x02\x03", "4 bytes, beginning 00010203"),
        (base64.b64encode(bytes(7)), "base64 of bytes of no form that is known"),
        (b"\xff\xfe\x00", "bytes of no form that is known"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_no_document_is_described(data: bytes, words: str) -> None:
    ran = inspect("-", *SIMULATED, stdin=data)
    assert ran.code == 2
    assert words in ran.sentence


def test_a_document_cut_short_is_still_one() -> None:
    report = inspected(document()[:1000], *SIMULATED)
    assert (rules(report), report["exit_code"]) == (["document.structure"], 1)
    assert report["document"] is None


def test_one_too_large_for_the_member_meets_its_constraint() -> None:
    report = inspected(document() + bytes(262144), *SIMULATED)
    assert rules(report)[:2] == ["request.constraint", "document.structure"]


# Usage.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/absent/file"], "cannot read /absent/file: No such file"),
        (["/"], "Is a directory"),
        (["-", "--root", "/absent"], "cannot read the root certificate"),
        (["-", "--root", "sim"], "needs --seed"),
        (["-", "--seed", "x"], "give --root sim with it"),
        (["-", "--at", "yesterday"], "--at yesterday: "),
        (["-", "--at", "2026-02-30"], "give now, document, or a time"),
        (["-", "--policy", "/absent"], "cannot read /absent"),
        (["-", "--caller", ROLE], "give --policy with it"),
        (["-", "--operation", "Decrypt"], "give --policy with it"),
        (["-", "--key", "/absent"], "give --cms with it"),
        (["-", "--cms", "--at", "now"], "--at is for attestation documents"),
    ],
)
def test_wrong_usage_is_a_sentence(arguments: list[str], words: str) -> None:
    ran = inspect(*arguments, stdin=document())
    assert ran.code == 2
    assert words in ran.sentence


def test_no_file_is_usage() -> None:
    ran = inspect()
    assert ran.code == 2
    assert "usage: attested-kms inspect" in ran.err


def test_help_names_the_exit_codes() -> None:
    ran = inspect("--help")
    assert ran.code == 0
    assert "Exit codes: 0" in ran.out


def test_a_hostile_text_does_not_reach_the_terminal() -> None:
    chain = nsm_chain()
    hostile = encode_payload(
        module_id="i-\x1b[2J\u202eé",
        timestamp_ms=NOW_MS,
        pcrs={0: bytes(48)},
        certificate=chain.certificate,
        cabundle=chain.cabundle,
        public_key=None,
        user_data=None,
        nonce=None,
    )
    ran = inspect("-", *SIMULATED, stdin=signed(hostile))
    assert "\x1b" not in ran.out
    assert ran.out.isascii()
    assert r"i-\x1b[2J" in ran.out


def test_it_is_a_command(tmp_path: Path) -> None:
    """The one real process of these tests."""
    path = tmp_path / "doc.bin"
    path.write_bytes(document())
    command = [sys.executable, "-m", "simulator.cli", "inspect", str(path), *SIMULATED, "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["input"]["source"] == str(path)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
