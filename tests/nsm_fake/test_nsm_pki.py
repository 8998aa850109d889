"""When certificates are issued, for how long, and that a seed makes them again."""

import datetime as dt
import itertools

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from nsm_fake import ClockOutsideValidityError, EnclaveIdentity, NsmPki
from nsm_fake.pki import SigningChain

START_MS = 1_785_784_796_857
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FIRST_MS = int(dt.datetime(2019, 11, 3, 13, 28, 8, tzinfo=dt.UTC).timestamp() * 1000)
LAST_MS = int(dt.datetime(2049, 10, 8, 13, 28, 5, tzinfo=dt.UTC).timestamp() * 1000)


def identity(
    instance_id: str = "i-0123456789abcdef0", region: str = "us-east-1"
) -> EnclaveIdentity:
    return EnclaveIdentity.create(
        clock=lambda: START_MS, seed=b"who", instance_id=instance_id, region=region
    )


def ders(chain: SigningChain) -> list[bytes]:
    return [*chain.cabundle, chain.certificate]


def validities(chain: SigningChain) -> list[tuple[int, int]]:
    certificates = [x509.load_der_x509_certificate(der) for der in ders(chain)]
    return [
        (int(c.not_valid_before_utc.timestamp()), int(c.not_valid_after_utc.timestamp()))
        for c in certificates
    ]


def test_a_seed_makes_every_certificate_again() -> None:
    first, second = NsmPki(b"seed"), NsmPki(b"seed")
    assert first.root_certificate_der == second.root_certificate_der
    for later in (0, 5 * HOUR_MS, 40 * DAY_MS):
        now = START_MS + later
        assert ders(first.issue(identity(), now)) == ders(second.issue(identity(), now))


def test_the_order_of_issuing_does_not_matter() -> None:
    moments = [START_MS, START_MS + 13 * HOUR_MS, START_MS + 30 * DAY_MS]
    forwards, backwards = NsmPki(b"seed"), NsmPki(b"seed")
    there = [ders(forwards.issue(identity(), now)) for now in moments]
    back = [ders(backwards.issue(identity(), now)) for now in reversed(moments)]
    assert there == back[::-1]


def test_another_seed_or_none_makes_other_certificates() -> None:
    roots = {pki.root_certificate_der for pki in (NsmPki(b"a"), NsmPki(b"b"), NsmPki(), NsmPki())}
    assert len(roots) == 4
    chains = [ders(NsmPki(seed).issue(identity(), START_MS)) for seed in (b"a", b"b", None)]
    assert len({der for chain in chains for der in chain}) == 15


def test_an_empty_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="The seed is empty"):
        NsmPki(b"")


def test_the_root_in_pem_is_the_root_in_der() -> None:
    pki = NsmPki(b"seed")
    certificate = x509.load_pem_x509_certificate(pki.root_certificate_pem)
    assert certificate == x509.load_der_x509_certificate(pki.root_certificate_der)


@settings(max_examples=60, deadline=None)
@given(now=st.integers(FIRST_MS, LAST_MS), seed=st.binary(min_size=1, max_size=4))
def test_validities_nest_at_any_time(now: int, seed: bytes) -> None:
    nested = validities(NsmPki(seed).issue(identity(), now))
    assert nested[-1] == (now // 1000 - 3, now // 1000 + 3 * 3600)
    for (outer_start, outer_end), (start, end) in itertools.pairwise(nested):
        assert outer_start <= start < end <= outer_end


@pytest.mark.parametrize("seconds", [0, 1, 2, 3, 4])
def test_a_leaf_begins_within_its_instances_validity(seconds: int) -> None:
    """Just after a rotation the leaf's backdating reaches behind it: the one before signs."""
    rotation = validities(PKI.issue(identity(), START_MS))[3][0]
    nested = validities(PKI.issue(identity(), (rotation + seconds) * 1000))
    assert nested[3][0] == (rotation if seconds >= 3 else rotation - 12 * 3600)


def test_every_leaf_has_a_key_of_its_own() -> None:
    one, other = (PKI.issue(identity(), START_MS + later) for later in (0, 1000))
    assert one.private_key.private_numbers() != other.private_key.private_numbers()


@settings(max_examples=60, deadline=None)
@given(now=st.integers(FIRST_MS, LAST_MS))
def test_authorities_are_never_older_than_their_period(now: int) -> None:
    """As the greatest ages on real documents: 12 hours, 12 hours and 5 days."""
    (_, regional, zonal, instance, leaf) = (v[0] for v in validities(PKI.issue(identity(), now)))
    assert leaf - instance < 12 * 3600
    assert instance - zonal < 12 * 3600
    assert zonal - regional < 5 * 24 * 3600


PKI = NsmPki(b"seed")


def changed(later_ms: int) -> list[bool]:
    """Which of root, regional, zonal, instance and leaf are others, so much later."""
    before, after = PKI.issue(identity(), START_MS), PKI.issue(identity(), START_MS + later_ms)
    return [old != new for old, new in zip(ders(before), ders(after), strict=True)]


@pytest.mark.parametrize(
    ("later_ms", "expected"),
    [
        (0, [False, False, False, False, False]),
        (999 - START_MS % 1000, [False, False, False, False, False]),
        (1000, [False, False, False, False, True]),
        (12 * HOUR_MS, [False, False, True, True, True]),
        (20 * DAY_MS, [False, True, True, True, True]),
    ],
)
def test_what_changes_with_time(later_ms: int, expected: list[bool]) -> None:
    assert changed(later_ms) == expected


def test_enclaves_share_what_is_above_their_instance() -> None:
    one = PKI.issue(identity(instance_id="i-00000000000000001"), START_MS)
    other = PKI.issue(identity(instance_id="i-00000000000000002"), START_MS)
    assert one.cabundle[:2] == other.cabundle[:2]
    assert one.cabundle[3] != other.cabundle[3]
    abroad = PKI.issue(identity(region="eu-west-1"), START_MS)
    assert abroad.cabundle[0] == one.cabundle[0]
    assert abroad.cabundle[1] != one.cabundle[1]


@pytest.mark.parametrize(
    "now", [0, -1, START_MS // 1000, FIRST_MS - 1, LAST_MS + 1000, START_MS * 1000]
)
def test_a_clock_outside_the_root_is_told_so(now: int) -> None:
    with pytest.raises(ClockOutsideValidityError) as caught:
        PKI.issue(identity(), now)
    message = str(caught.value)
    assert f"The clock says {now} ms" in message
    assert "from 2019-11-03T13:28:08+00:00 to 2049-10-08T13:28:05+00:00" in message


@pytest.mark.parametrize("now", [FIRST_MS, LAST_MS])
def test_the_first_and_last_moment_work(now: int) -> None:
    assert len(PKI.issue(identity(), now).cabundle) == 4


def test_a_long_life_does_not_grow() -> None:
    pki = NsmPki(b"seed")
    for day in range(70):
        pki.issue(identity(), START_MS + day * DAY_MS)
    for cache in (pki._regional, pki._zonal):
        assert cache.cache_info().currsize <= 64
    assert pki._instance.cache_info().maxsize == 2048
