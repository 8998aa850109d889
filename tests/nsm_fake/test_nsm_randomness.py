"""Values that derive from a seed."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from nsm_fake.randomness import Derivation


def test_the_same_seed_and_purpose_give_the_same_value() -> None:
    one, two = Derivation(b"seed"), Derivation(b"seed")
    assert one.bytes(64, "a", 1) == two.bytes(64, "a", 1)
    assert one.below(1000, "a") == two.below(1000, "a")
    assert one.p384_key("a").private_numbers() == two.p384_key("a").private_numbers()
    assert one.reproducible


def test_a_seed_means_the_same_in_every_release() -> None:
    """Documents made from a seed are kept in other people's tests."""
    derivation = Derivation(b"attested-kms")
    assert derivation.bytes(16, "purpose", 1).hex() == "56045831338831f14697effaa9795dee"


def test_purposes_and_seeds_are_kept_apart() -> None:
    derivation = Derivation(b"seed")
    values = [
        derivation.bytes(32, "a", "bc"),
        derivation.bytes(32, "ab", "c"),
        derivation.bytes(32, "abc"),
        derivation.bytes(32, "1"),
        derivation.bytes(32, 1),
        Derivation(b"seed2").bytes(32, 1),
        Derivation(None).bytes(32, 1),
        Derivation(None).bytes(32, 1),
    ]
    assert len(set(values)) == len(values)


def test_without_a_seed_nothing_can_be_made_again() -> None:
    derivation = Derivation(None)
    assert not derivation.reproducible
    assert derivation.bytes(8, "a") == derivation.bytes(8, "a")


@given(bound=st.integers(1, 2**200), purpose=st.text())
def test_numbers_stay_below_their_bound(bound: int, purpose: str) -> None:
    assert 0 <= Derivation(b"seed").below(bound, purpose) < bound


def test_small_numbers_all_come() -> None:
    derivation = Derivation(b"seed")
    assert {derivation.below(13, n) for n in range(200)} == set(range(13))


def test_keys_are_on_p384() -> None:
    assert isinstance(Derivation(b"seed").p384_key("a").curve, ec.SECP384R1)


def test_an_empty_seed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"The seed is empty.*at least one byte"):
        Derivation(b"")
