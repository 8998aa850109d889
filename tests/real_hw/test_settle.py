"""When an answer of KMS is believed."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from real_hw.actions import ActionFailed
from real_hw.settle import IN_A_ROW, LONGEST_SECONDS, YOUNG_SECONDS, Settling, Unsettled
from scenarios.target import KmsError, Opened, RawAnswer, Refused, Result
from tests.real_hw.scripted import Scripted

DENIED = KmsError("AccessDeniedException", "no", 400)
GOOD = Result({"KeyId": "arn:k", "Plaintext": b"1"})


class Kms:
    def __init__(self, answers: Iterable[object]) -> None:
        self.answers = iter(answers)
        self.asked = 0

    def __call__(self) -> object:
        self.asked += 1
        return next(self.answers)


def settling(now: float = 0.0) -> tuple[Settling, Scripted, list[float]]:
    world, clock = Scripted(), [now]
    return Settling(world, lambda: clock[0]), world, clock


def test_without_a_young_key_one_answer_does() -> None:
    settle, world, _ = settling()
    kms = Kms([DENIED])
    assert settle.believed(kms, "Decrypt", {}) == DENIED
    assert (kms.asked, world.waited) == (1, 0.0)


def test_a_young_key_is_asked_until_its_answers_are_the_same() -> None:
    settle, _, clock = settling()
    settle.changed("arn:k")
    kms = Kms([DENIED, DENIED, GOOD, DENIED, GOOD, GOOD, GOOD])
    assert settle.believed(kms, "Decrypt", {"KeyId": "arn:k"}) == GOOD
    assert kms.asked == 7
    clock[0] = YOUNG_SECONDS
    assert settle.believed(Kms([DENIED]), "Decrypt", {"KeyId": "arn:k"}) == DENIED


def test_a_key_that_nobody_has_used_is_young_however_old_it_is() -> None:
    settle, _, clock = settling()
    settle.changed("arn:k")
    clock[0] = 10 * YOUNG_SECONDS
    kms = Kms([DENIED, GOOD, GOOD, GOOD])
    assert settle.believed(kms, "Decrypt", {"KeyId": "arn:k"}) == GOOD
    assert settle.believed(Kms([DENIED]), "Decrypt", {"KeyId": "arn:k"}) == DENIED


@pytest.mark.parametrize(
    "members",
    [
        {"KeyId": "arn:old"},
        {"CiphertextBlob": b"under the old"},
        {"CiphertextBlob": "dW5kZXIgdGhlIG9sZA=="},
    ],
)
def test_an_old_key_does_not_wait_for_another(members: dict[str, object]) -> None:
    settle, _, clock = settling()
    settle.changed("arn:old")
    settle.encrypted(b"under the old", "arn:old")
    settle.believed(Kms([GOOD] * 3), "Decrypt", members)
    clock[0] = YOUNG_SECONDS
    settle.changed("arn:new")
    kms = Kms([DENIED, GOOD, GOOD, GOOD])
    assert settle.believed(kms, "Decrypt", members) == DENIED
    assert settle.believed(kms, "Decrypt", {"CiphertextBlob": b"whose?"}) == GOOD


@pytest.mark.parametrize(
    "same",
    [
        [Result({"CiphertextBlob": bytes([n]) * (n + 1), "KeyId": "arn:k"}) for n in range(3)],
        [Opened(bytes([n]), {"CiphertextForRecipient": bytes([n + 1])}) for n in range(3)],
        [Refused("plaintext", str(n), {"Plaintext": bytes([n + 1])}) for n in range(3)],
        [RawAnswer(200, f'{{"Plaintext": "{n}"}}') for n in range(3)],
        [
            KmsError("X", f"Request 0000000{n}-0000-4000-8000-000000000000 failed", 400)
            for n in range(3)
        ],
    ],
    ids=lambda same: type(same[0]).__name__,
)
def test_plaintexts_blobs_and_request_ids_do_not_count(same: list[object]) -> None:
    settle, _, _ = settling()
    kms = Kms(same)
    assert settle.settled(kms, "any") == same[-1]
    assert kms.asked == IN_A_ROW


@pytest.mark.parametrize(
    "other",
    [
        KmsError("AccessDeniedException", "no", 403),
        KmsError("AccessDeniedException", "no!", 400),
        KmsError("NotFoundException", "no", 400),
        Result({}),
    ],
)
def test_code_text_status_and_kind_do(other: object) -> None:
    settle, _, _ = settling()
    kms = Kms([DENIED, DENIED, other, DENIED, DENIED, DENIED])
    settle.settled(kms, "any")
    assert kms.asked == 6


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Result({"Plaintext": b""}), Result({"Plaintext": b"x"})),
        (Result({"Plaintext": None}), Result({})),
        (Result({"KeyId": "arn:a"}), Result({"KeyId": "arn:b"})),
    ],
)
def test_an_empty_or_absent_member_is_another_answer(one: Result, other: Result) -> None:
    settle, _, _ = settling()
    kms = Kms([one, one, other, one, one, one])
    settle.settled(kms, "any")
    assert kms.asked == 6


def test_whoever_cannot_make_up_its_mind_is_not_believed() -> None:
    settle, world, _ = settling()

    def wavering() -> object:
        kms.asked += 1
        return DENIED if kms.asked % 2 else GOOD

    kms = Kms([])
    with pytest.raises(Unsettled, match=r"3 times in a row within 60 seconds.*Decrypt.*result"):
        settle.settled(wavering, "Decrypt")
    assert world.waited == LONGEST_SECONDS


def test_an_error_without_an_answer_is_not_asked_again() -> None:
    settle, _, _ = settling()
    settle.changed("arn:k")

    def cut() -> object:
        kms.asked += 1
        raise ActionFailed("cut")

    kms = Kms([])
    with pytest.raises(ActionFailed, match="cut"):
        settle.believed(cut, "any", {})
    assert kms.asked == 1
