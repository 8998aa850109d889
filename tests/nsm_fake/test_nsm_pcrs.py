"""The registers: formulas with known answers, and the rules that AWS's nsm-check.rs asserts."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsm_fake import (
    ErrorCode,
    NsmError,
    NsmPki,
    Pcr,
    pcr_of_instance_id,
    pcr_of_role_arn,
    pcr_of_signing_certificate,
    pcrs_of_label,
)
from nsm_fake.pcrs import PcrBank

ZERO = bytes(48)


def refusal_of_extend(bank: PcrBank, index: int) -> ErrorCode:
    with pytest.raises(NsmError) as caught:
        bank.extend(index, b"data")
    return caught.value.code


def refusal_of_lock(bank: PcrBank, index: int) -> ErrorCode:
    with pytest.raises(NsmError) as caught:
        bank.lock(index)
    return caught.value.code


def test_pcr3_of_the_example_in_the_documentation() -> None:
    assert pcr_of_role_arn("arn:aws:iam::123456789012:role/Webserver").hex() == (
        "78fce75db17cd4e0a3fb8dad3ad128ca5e77edbb2b2c7f75329dccd99aa5f6ef"
        "4fc1f1a452e315b9e98f9e312e6921e6"
    )


def test_pcr4_of_a_real_document() -> None:
    """The module id and PCR4 of the newest document of a debug enclave."""
    assert pcr_of_instance_id("i-018e0c27541e1f15a").hex() == (
        "6bc886f2b244a21f5bffcf8908651cc08bd44fdf89055a0cc0666d276e6655b8"
        "5fdd5931ed52ba6031fd6c378638e38d"
    )


def test_pcr8_is_the_fingerprint_of_the_certificate(pki: NsmPki) -> None:
    """As nitro-cli measures it: the digest of the DER, extended into a zero register."""
    der = pki.root_certificate_der
    fingerprint = hashlib.sha384(der).digest()
    expected = hashlib.sha384(bytes(48) + fingerprint).digest()
    assert pcr_of_signing_certificate(pki.root_certificate_pem) == expected
    # Text before the certificate, as openssl writes it, changes nothing.
    assert pcr_of_signing_certificate(b"subject: x\n" + pki.root_certificate_pem) == expected


@pytest.mark.parametrize(
    "pem", [b"", b"text", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_only_a_certificate_has_a_pcr8(pem: bytes) -> None:
    with pytest.raises(ValueError, match=r"does not read.*BEGIN CERTIFICATE"):
        pcr_of_signing_certificate(pem)


def test_pcrs_of_a_label_are_measurements_of_three_texts() -> None:
    expected = tuple(
        hashlib.sha384(ZERO + hashlib.sha384(f"attested-kms/app/pcr{n}".encode()).digest()).digest()
        for n in range(3)
    )
    assert pcrs_of_label("app") == expected
    assert len({*expected, *pcrs_of_label("other")}) == 6


@pytest.mark.parametrize(
    ("arn", "cause"),
    [
        ("arn:aws:sts::123456789012:assumed-role/Web/i-0123456789abcdef0", "assumed-role ARN"),
        ("arn:aws:iam::123456789012:instance-profile/Web", "instance profile's ARN"),
        ("arn:aws:iam::123456789012:user/Web", "not the ARN of an IAM role"),
        ("arn:aws:iam::123456789012:role/", "not the ARN of an IAM role"),
        ("arn:aws:iam::12345678901:role/Web", "not the ARN of an IAM role"),
        ("arn:aws:iam::123456789012:role/Wéb", "not the ARN of an IAM role"),
        ("Web", "not the ARN of an IAM role"),
    ],
)
def test_only_a_roles_arn_has_a_pcr3(arn: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause) as caught:
        pcr_of_role_arn(arn)
    assert "arn:aws:iam::ACCOUNT:role/NAME" in str(caught.value)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::123456789012:role/path/to/Web",
        "arn:aws:iam::123456789012:role/aws-service-role/ec2.amazonaws.com/Web_1+=,.@-",
        "arn:aws-us-gov:iam::123456789012:role/Web",
    ],
)
def test_roles_have_paths_and_partitions(arn: str) -> None:
    assert pcr_of_role_arn(arn) == hashlib.sha384(ZERO + arn.encode()).digest()


@pytest.mark.parametrize(
    "instance_id", ["", "i-", "i-0123456789abcdef", "i-0123456789ABCDEF0", "m-0123456789abcdef0"]
)
def test_only_an_instance_id_has_a_pcr4(instance_id: str) -> None:
    with pytest.raises(ValueError, match=r"not an EC2 instance id.*give one like"):
        pcr_of_instance_id(instance_id)


def test_the_bank_at_boot() -> None:
    bank = PcrBank({0: b"\x01" * 48, 4: b"\x02" * 48})
    assert bank.describe(0) == Pcr(b"\x01" * 48, locked=True)
    assert bank.describe(4) == Pcr(b"\x02" * 48, locked=True)
    assert all(bank.describe(i) == Pcr(ZERO, locked=True) for i in range(16) if i not in (0, 4))
    assert all(bank.describe(i) == Pcr(ZERO, locked=False) for i in range(16, 32))
    assert list(bank.locked()) == list(range(16))


def test_the_sequence_of_nsm_check() -> None:
    """Locked ones refuse; 16..31 take extensions again and again, then a lock, then refuse."""
    bank = PcrBank({})
    for index in range(16):
        assert refusal_of_extend(bank, index) is ErrorCode.READ_ONLY_INDEX
        assert refusal_of_lock(bank, index) is ErrorCode.READ_ONLY_INDEX
    for index in range(16, 32):
        first = bank.extend(index, b"\x01\x02\x03")
        assert first == hashlib.sha384(ZERO + b"\x01\x02\x03").digest()
        second = bank.extend(index, b"")
        assert second == hashlib.sha384(first).digest()
        bank.lock(index)
        assert bank.describe(index) == Pcr(second, locked=True)
        assert refusal_of_extend(bank, index) is ErrorCode.READ_ONLY_INDEX
        assert refusal_of_lock(bank, index) is ErrorCode.READ_ONLY_INDEX
    bank.lock_range(32)
    assert list(bank.locked()) == list(range(32))


def test_a_range_locks_what_is_below_it_and_nothing_else() -> None:
    bank = PcrBank({})
    bank.lock_range(0)
    assert list(bank.locked()) == list(range(16))
    bank.lock_range(18)
    assert list(bank.locked()) == list(range(18))


@pytest.mark.parametrize("index", [32, 33, 255, 65535])
def test_there_are_32_registers(index: int) -> None:
    bank = PcrBank({})
    with pytest.raises(NsmError) as caught:
        bank.describe(index)
    assert caught.value.code is ErrorCode.INVALID_INDEX
    assert refusal_of_extend(bank, index) is ErrorCode.INVALID_INDEX
    assert refusal_of_lock(bank, index) is ErrorCode.INVALID_INDEX
    with pytest.raises(NsmError) as caught:
        bank.lock_range(index + 1)
    assert caught.value.code is ErrorCode.INVALID_INDEX
    assert list(bank.locked()) == list(range(16))


indexes = st.integers(0, 40)
operations = st.lists(
    st.tuples(st.just("extend"), indexes, st.binary(max_size=60))
    | st.tuples(st.just("lock"), indexes, st.just(b""))
    | st.tuples(st.just("range"), indexes, st.just(b"")),
    max_size=30,
)


@given(operations=operations)
def test_a_locked_register_never_changes(operations: list[tuple[str, int, bytes]]) -> None:
    bank = PcrBank({0: b"\x07" * 48})
    for operation, index, data in operations:
        before = [bank.describe(i) for i in range(32)]
        try:
            match operation:
                case "extend":
                    value = bank.extend(index, data)
                    changed = Pcr(hashlib.sha384(before[index].value + data).digest(), locked=False)
                    assert value == changed.value
                    expected = [*before[:index], changed, *before[index + 1 :]]
                case "lock":
                    bank.lock(index)
                    locked = Pcr(before[index].value, locked=True)
                    expected = [*before[:index], locked, *before[index + 1 :]]
                case _:
                    bank.lock_range(index)
                    expected = [Pcr(p.value, locked=True) for p in before[:index]] + before[index:]
        except NsmError:
            assert index >= 32 or before[index].locked
            expected = before
        assert [bank.describe(i) for i in range(32)] == expected
        assert bank.locked() == {i: p.value for i, p in enumerate(expected) if p.locked}
