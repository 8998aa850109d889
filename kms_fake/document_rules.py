"""The rows of the table that look at the attestation document alone, asked outside a request.

Not another judge: it puts the document into a Recipient that is otherwise well made, and asks the
rows of `kms_fake.rules` in their order. It goes on where KMS stops, so that the owner of a document
sees all that is wrong with it, and says which answers only follow from an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kms_fake.call import Call, Settings
from kms_fake.callers import default_caller
from kms_fake.keys import MotoKeys
from kms_fake.rules import RULES, Rule
from kms_fake.shapes import Operation

if TYPE_CHECKING:
    from kms_fake.chain import TrustedRoots

_NEEDS = {
    "request.constraint": None,
    "document.structure": None,
    "document.payload": "document.structure",
    "document.certificate": "document.payload",
    "document.root": "document.payload",
    "document.chain": "document.certificate",
    "document.validity": "document.chain",
    "document.signature": "document.chain",
    "document.age": "document.payload",
    "document.future": "document.payload",
    "public-key.missing": "document.payload",
    "public-key.encoding": "public-key.missing",
    "public-key.algorithm": "public-key.encoding",
    "public-key.size": "public-key.algorithm",
}
"""Each row about the document, with the row that must let pass before it can be asked at all."""

DOCUMENT_RULES: tuple[Rule, ...] = tuple(rule for rule in RULES if rule.id in _NEEDS)
"""The rows about the document and its public key, in the order of the table."""

AUTHENTICITY = frozenset(
    f"document.{name}"
    for name in ("structure", "payload", "certificate", "root", "chain", "validity", "signature")
)
"""The rows that say whether the hardware signed the document and its chain is valid now."""

_NOBODY = "000000000000"


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that refuses the document."""

    rule: Rule
    message: str
    """The message that KMS gives with it."""
    follows_from: str | None
    """The earlier row that took away this one's ground, so that it had to refuse; else None."""


def judge_document(
    raw: bytes, roots: TrustedRoots, now_ms: int, settings: Settings | None = None
) -> tuple[Finding, ...]:
    """Every row about the document that refuses `raw` at `now_ms`; KMS answers with the first."""
    call = Call(
        operation=Operation.DECRYPT,
        given={
            "CiphertextBlob": b"any",
            "Recipient": {
                "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                "AttestationDocument": raw,
            },
        },
        # The rows about the document ask neither who calls nor which keys there are.
        caller=default_caller(_NOBODY),
        store=MotoKeys(_NOBODY, "us-east-1"),
        roots=roots,
        now_ms=now_ms,
        settings=settings or Settings(),
    )
    findings: dict[str, Finding] = {}
    for rule in DOCUMENT_RULES:
        found = rule.refuses(call)
        if found is not None:
            ground = findings.get(_NEEDS[rule.id] or "")
            follows_from = None if ground is None else ground.follows_from or ground.rule.id
            findings[rule.id] = Finding(rule, rule.refuse(found).message, follows_from)
    return tuple(findings.values())
