"""The rows about documents, asked outside a request, say what a request gets."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509

from kms_fake import KmsRefusal
from kms_fake.chain import TrustedRoots
from kms_fake.document_rules import AUTHENTICITY, DOCUMENT_RULES, Finding, judge_document
from kms_fake.rules import RULES
from tests.kms_fake.world import (
    FOREIGN_ROOT,
    MINUTE_MS,
    NOW_MS,
    ROOT,
    Document,
    Link,
    Request,
    certificate,
    ec_spki,
    fake,
    pkcs1,
    spki,
)

BROKEN: dict[str, dict[str, Any]] = {
    "request.constraint": {"raw": bytes(262145)},
    "document.structure": {"raw": b"\x84"},
    "document.payload": {"without": ["digest"]},
    "document.certificate": {"fields": {"certificate": b"\x30\x00"}},
    "document.root": {"chain": (FOREIGN_ROOT, Link(subject="authority", issuer="foreign root"))},
    "document.chain": {"signer": Link(subject="signer", issuer="nobody", ca=False)},
    "document.validity": {
        "signer": Link(subject="signer", issuer="authority", ca=False, ends_ms=NOW_MS - MINUTE_MS)
    },
    "document.signature": {"flip_signature": True},
    "document.age": {"timestamp_ms": NOW_MS - 6 * MINUTE_MS},
    "document.future": {"timestamp_ms": NOW_MS + 6 * MINUTE_MS},
    "public-key.missing": {"public_key": None},
    "public-key.encoding": {"public_key": pkcs1()},
    "public-key.algorithm": {"public_key": ec_spki()},
    "public-key.size": {"public_key": spki(1024)},
}


def judged(**document: Any) -> tuple[Finding, ...]:
    roots = TrustedRoots([x509.load_der_x509_certificate(certificate(ROOT))])
    return judge_document(Document(**document).build(), roots, NOW_MS)


def test_a_good_document_meets_none() -> None:
    assert judged() == ()


@pytest.mark.parametrize("rule", BROKEN)
def test_the_first_finding_is_what_a_request_gets(rule: str) -> None:
    first = judged(**BROKEN[rule])[0]
    request = Request(document=BROKEN[rule])
    members = request.build()
    with pytest.raises(KmsRefusal) as refused:
        fake().call(request.operation, members)
    assert (refused.value.rule, refused.value.message) == (first.rule.id, first.message)
    assert first.rule.id == rule
    assert first.follows_from is None


def test_every_row_about_the_document_is_asked() -> None:
    asked = {rule.id for rule in DOCUMENT_RULES}
    about = {rule.id for rule in RULES if rule.id.startswith(("document.", "public-key."))}
    assert asked == about | {"request.constraint"} == set(BROKEN)
    assert asked > AUTHENTICITY


def test_what_only_follows_names_its_origin() -> None:
    findings = judged(signer=Link(subject="signer", issuer="nobody", ca=False), public_key=None)
    assert [(each.rule.id, each.follows_from) for each in findings] == [
        ("document.chain", None),
        ("document.validity", "document.chain"),
        ("document.signature", "document.chain"),
        ("public-key.missing", None),
        ("public-key.encoding", "public-key.missing"),
        ("public-key.algorithm", "public-key.missing"),
        ("public-key.size", "public-key.missing"),
    ]


def test_independent_faults_are_all_found() -> None:
    findings = judged(flip_signature=True, timestamp_ms=NOW_MS - 6 * MINUTE_MS, public_key=pkcs1())
    origins = [each.rule.id for each in findings if each.follows_from is None]
    assert origins == ["document.signature", "document.age", "public-key.encoding"]
