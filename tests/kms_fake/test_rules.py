"""Each row of the rule table refuses what it should, with its exception, text and status."""

from __future__ import annotations

from types import ModuleType

import pytest

from kms_fake import KmsRefusal, key_import, other_refusals
from kms_fake.evidence import Evidence
from kms_fake.key_import import IMPORT_REFUSALS
from kms_fake.neighbours import NEIGHBOUR_REFUSALS
from kms_fake.other_refusals import OTHER_REFUSALS, OtherRefusal
from kms_fake.rules import RULES, Rule
from tests.kms_fake.rule_cases import ANSWERED, BREAKS, ORDERED, SINGLES, Case
from tests.kms_fake.world import fake

ROWS = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize("case", [*SINGLES, *ORDERED], ids=lambda case: case.name)
def test_refused_by(case: Case) -> None:
    request = case.request()
    with pytest.raises(KmsRefusal) as caught:
        fake(**request.settings).call(request.operation, request.build(), caller=request.caller())
    refusal = caught.value
    assert refusal.rule == case.rule
    row = ROWS[refusal.rule]
    assert refusal.exception == row.exception
    assert refusal.http_status == 400
    if row.text is None:
        assert refusal.message.endswith(f" [attested-kms: real text unknown, {row.id}]")
    elif "{}" not in row.text:
        assert refusal.message == row.text
    else:
        assert "attested-kms" not in refusal.message


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case.name)
def test_answered(case: Case) -> None:
    request = case.request()
    answer = fake().call(request.operation, request.build(), caller=request.caller())
    assert ("Plaintext" in answer) is (request.recipient is None)
    assert ("CiphertextForRecipient" in answer) is (request.recipient is not None)


def test_every_row_has_a_case() -> None:
    assert set(BREAKS) == set(ROWS)


@pytest.mark.parametrize("row", RULES, ids=lambda row: row.id)
def test_an_unknown_text_claims_nothing(row: Rule) -> None:
    assert (row.text is None) is (row.text_evidence is Evidence.UNKNOWN)
    assert row.source
    assert Evidence.RECORDED not in {row.type_evidence, row.text_evidence, row.order_evidence}


@pytest.mark.parametrize(
    ("module", "listed"),
    [(other_refusals, OTHER_REFUSALS), (key_import, IMPORT_REFUSALS)],
    ids=["other", "import"],
)
def test_refusals_outside_the_table_are_all_listed(
    module: ModuleType, listed: tuple[OtherRefusal, ...]
) -> None:
    defined = [row for row in vars(module).values() if isinstance(row, OtherRefusal)]
    assert set(defined) == set(listed)


def test_refusals_outside_the_table_claim_no_text_that_is_unknown() -> None:
    rows = (*OTHER_REFUSALS, *NEIGHBOUR_REFUSALS, *IMPORT_REFUSALS)
    assert len({row.id for row in rows} | set(ROWS)) == len(rows) + len(ROWS)
    for row in rows:
        assert row.source
        assert Evidence.RECORDED not in {row.evidence, row.text_evidence}
        ours = str(row.refuse("found")).endswith(f"[attested-kms: real text unknown, {row.id}]")
        assert ours is (row.text is None) is (row.text_evidence is Evidence.UNKNOWN)


def test_the_texts_of_the_field_notes_are_verbatim() -> None:
    texts = {
        "request.data-key-size": "Please specify either number of bytes or key spec.",
        "recipient.key-encryption-algorithm": (
            "You must specify an encryption algorithm in this request."
        ),
        "public-key.missing": "You must specify a recipient public key in this request.",
        "public-key.encoding": "Invalid public key",
    }
    for rule, text in texts.items():
        assert ROWS[rule].text == text
        assert ROWS[rule].exception == "ValidationException"
