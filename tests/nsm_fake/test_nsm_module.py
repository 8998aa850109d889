"""One NSM from boot to end: AWS's own check program, renewals, seeds, debug mode, hard use."""

import dataclasses
import hashlib
import itertools
import logging
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import cbor2
import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nsm_fake import (
    ClockOutsideValidityError,
    EnclaveIdentity,
    NitroSecurityModule,
    NsmPki,
    Pcr,
    pcr_of_role_arn,
)

ZERO = bytes(48)
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

MakeModule = Callable[..., NitroSecurityModule]
Attest = Callable[..., bytes]


def ask(module: NitroSecurityModule, variant: str, **fields: Any) -> Any:
    """The content of the answer to a request, or the error's code as text."""
    request = {variant: fields} if fields or variant == "Attestation" else variant
    answer = cbor2.loads(module.handle(cbor2.dumps(request)))
    if isinstance(answer, str):
        assert answer == variant
        return answer
    ((kind, content),) = answer.items()
    assert kind in (variant, "Error")
    return content


def payload_of(document: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = cbor2.loads(cbor2.loads(document)[2])
    return payload


def certificates_of(document: bytes) -> list[bytes]:
    """Root, regional, zonal, instance and leaf in DER."""
    payload = payload_of(document)
    return [*payload["cabundle"], payload["certificate"]]


def test_describe_nsm(make_module: MakeModule) -> None:
    module = make_module()
    assert ask(module, "DescribeNSM") == {
        "version_major": 1,
        "version_minor": 0,
        "version_patch": 0,
        "module_id": module.identity.module_id,
        "max_pcrs": 32,
        "locked_pcrs": list(range(16)),
        "digest": "SHA384",
    }


def test_what_nsm_check_asserts_inside_an_enclave(make_module: MakeModule) -> None:
    """The sequence of AWS's nsm-test/src/bin/nsm-check.rs, with the error names of QEMU."""
    module = make_module(role_arn="arn:aws:iam::123456789012:role/Web")
    registers = [ask(module, "DescribePCR", index=i) for i in range(32)]
    assert [r["lock"] for r in registers] == [True] * 16 + [False] * 16
    assert [i for i, r in enumerate(registers) if r["data"] != ZERO] == [0, 1, 2, 3, 4]
    for index in range(16):
        assert ask(module, "LockPCR", index=index) == "ReadOnlyIndex"
        assert ask(module, "ExtendPCR", index=index, data=b"\x01") == "ReadOnlyIndex"
    for index in range(16, 32):
        value = ZERO
        for _ in range(10):
            value = hashlib.sha384(value + b"\x01\x02\x03").digest()
            extended = ask(module, "ExtendPCR", index=index, data=b"\x01\x02\x03")
            assert extended == {"data": value}
        assert ask(module, "LockPCR", index=index) == "LockPCR"
        assert ask(module, "DescribePCR", index=index) == {"lock": True, "data": value}
    assert ask(module, "LockPCRs", range=32) == "LockPCRs"
    assert ask(module, "LockPCRs", range=33) == "InvalidIndex"
    assert ask(module, "ExtendPCR", index=16, data=b"\x01") == "ReadOnlyIndex"
    for index in (32, 255, 65535):
        assert ask(module, "DescribePCR", index=index) == "InvalidIndex"
        assert ask(module, "ExtendPCR", index=index, data=b"") == "InvalidIndex"
        assert ask(module, "LockPCR", index=index) == "InvalidIndex"
    assert ask(module, "DescribeNSM")["locked_pcrs"] == list(range(32))
    content = bytes(1024)
    document = ask(module, "Attestation", user_data=content, nonce=content, public_key=content)
    assert sorted(payload_of(document["document"])["pcrs"]) == list(range(32))


def test_the_registers_can_be_read_beside_the_wire(make_module: MakeModule) -> None:
    module = make_module()
    value = ask(module, "ExtendPCR", index=16, data=b"app")["data"]
    assert module.describe_pcr(16) == Pcr(value, locked=False)
    assert 16 not in module.locked_pcrs()
    ask(module, "LockPCR", index=16)
    assert module.describe_pcr(16) == Pcr(value, locked=True)
    assert module.locked_pcrs()[16] == value


def test_a_document_carries_the_locked_registers_only(
    make_module: MakeModule, attest: Attest
) -> None:
    module = make_module()
    value = ask(module, "ExtendPCR", index=16, data=b"app")["data"]
    assert list(payload_of(attest(module))["pcrs"]) == list(range(16))
    ask(module, "LockPCR", index=16)
    pcrs = payload_of(attest(module))["pcrs"]
    assert list(pcrs) == list(range(17))
    assert pcrs[16] == value
    assert pcrs == module.locked_pcrs()


def test_null_and_empty_fields_are_kept_apart(make_module: MakeModule, attest: Attest) -> None:
    payload = payload_of(attest(make_module(), user_data=b"", nonce=None))
    assert (payload["user_data"], payload["nonce"], payload["public_key"]) == (b"", None, None)


def test_a_public_key_is_not_looked_at(make_module: MakeModule, attest: Attest) -> None:
    assert payload_of(attest(make_module(), public_key=b"dummy"))["public_key"] == b"dummy"


def test_the_timestamp_is_the_clocks(make_module: MakeModule, attest: Attest, clock: Mock) -> None:
    module = make_module()
    for _ in range(3):
        clock.return_value += 1
        payload = payload_of(attest(module))
        assert payload["timestamp"] == clock.return_value
        assert payload["module_id"] == module.identity.module_id
        assert payload["digest"] == "SHA384"


def test_debug_mode_hides_measurements_and_nothing_else(
    make_module: MakeModule, attest: Attest
) -> None:
    role = "arn:aws:iam::123456789012:role/Web"
    normal = payload_of(attest(make_module(seed=b"s", role_arn=role)))
    debug = payload_of(attest(make_module(seed=b"s", role_arn=role, debug_mode=True)))
    assert [i for i, v in debug["pcrs"].items() if v != ZERO] == [3, 4]
    assert debug["pcrs"] == normal["pcrs"] | dict.fromkeys((0, 1, 2, 8), ZERO)
    assert debug["pcrs"][3] == pcr_of_role_arn(role)
    rest = [name for name in normal if name != "pcrs"]
    assert {name: debug[name] for name in rest} == {name: normal[name] for name in rest}


def test_a_signed_image_has_pcr8_unless_in_debug_mode(
    pki: NsmPki, clock: Mock, attest: Attest
) -> None:
    signed = dataclasses.replace(EnclaveIdentity.create(clock=clock), pcr8=b"\x08" * 48)
    debug = dataclasses.replace(signed, debug_mode=True)
    documents = [attest(NitroSecurityModule(i, pki, clock)) for i in (signed, debug)]
    assert [payload_of(d)["pcrs"][8] for d in documents] == [b"\x08" * 48, ZERO]


def test_get_random_begins_with_the_bytes_that_linux_compares(make_module: MakeModule) -> None:
    module = make_module()
    prefix = bytes.fromhex("a16947657452616e646f6da16672616e646f6d590100")
    answers = {module.handle(cbor2.dumps("GetRandom")) for _ in range(20)}
    assert len(answers) == 20
    assert {(len(a), a[: len(prefix)]) for a in answers} == {(len(prefix) + 256, prefix)}


def test_random_bytes_repeat_with_a_seed_only(make_module: MakeModule) -> None:
    def stream(seed: bytes | None) -> list[bytes]:
        module = make_module(seed=seed)
        return [ask(module, "GetRandom")["random"] for _ in range(3)]

    assert stream(b"seed") == stream(b"seed")
    assert len({*stream(b"seed"), *stream(b"other"), *stream(None), *stream(None)}) == 12


def conversation(seed: bytes | None, clock: Mock) -> list[bytes]:
    """All answers of a fresh module and PKI to the same requests at the same times."""
    start = clock.return_value
    pki = NsmPki(seed)
    identity = EnclaveIdentity.create(clock=clock, seed=seed)
    module = NitroSecurityModule(identity, pki, clock, seed=seed)
    requests: list[Any] = [
        "DescribeNSM",
        {"Attestation": {"nonce": b"1"}},
        {"ExtendPCR": {"index": 16, "data": b"app"}},
        "GetRandom",
        {"LockPCR": {"index": 16}},
        {"Attestation": {"public_key": b"key"}},
        {"LockPCR": {"index": 16}},
    ]
    answers = [pki.root_certificate_der]
    for later in (0, 3 * HOUR_MS, 6 * DAY_MS):
        clock.return_value = start + later
        answers += [module.handle(cbor2.dumps(request)) for request in requests]
    clock.return_value = start
    return answers


def test_with_a_seed_every_byte_is_the_same_again(clock: Mock) -> None:
    assert conversation(b"seed", clock) == conversation(b"seed", clock)


@pytest.mark.parametrize("other", [b"deed", None])
def test_otherwise_documents_differ(clock: Mock, other: bytes | None) -> None:
    first, second = conversation(b"seed", clock), conversation(other, clock)
    same = [a == b for a, b in zip(first, second, strict=True)]
    # Not root, description, documents and random bytes; yes to extend and the errors after it.
    assert same[:8] == [False, False, False, True, False, True, False, True]


def issue_time(document: bytes) -> int:
    """The second of the leaf's issue: the last 8 bytes of its serial number."""
    leaf = x509.load_der_x509_certificate(certificates_of(document)[-1])
    return leaf.serial_number & (1 << 64) - 1


def test_the_leaf_is_issued_at_the_first_document(
    make_module: MakeModule, attest: Attest, clock: Mock
) -> None:
    module = make_module()
    clock.return_value += 5 * HOUR_MS
    assert issue_time(attest(module)) == clock.return_value // 1000


@pytest.mark.parametrize(
    ("later_ms", "renewed"),
    [
        (0, False),
        (HOUR_MS, False),
        (2 * HOUR_MS + 45 * MINUTE_MS - 1000, False),
        (2 * HOUR_MS + 45 * MINUTE_MS, True),
        (3 * HOUR_MS, True),
        (12 * HOUR_MS, True),
        (20 * DAY_MS, True),
        (-3000, False),
        (-4000, True),
        (-20 * DAY_MS, True),
    ],
)
def test_when_the_leaf_is_renewed(
    later_ms: int, renewed: bool, make_module: MakeModule, attest: Attest, clock: Mock
) -> None:
    """15 minutes before it ends, or when the clock stands before its beginning."""
    clock.return_value -= clock.return_value % 1000
    module = make_module()
    before = attest(module)
    clock.return_value += later_ms
    after = attest(module)
    assert (certificates_of(after)[-1] != certificates_of(before)[-1]) is renewed
    assert (
        issue_time(after) == (clock.return_value if renewed else issue_time(before) * 1000) // 1000
    )
    assert_valid_now(after, clock.return_value)


def assert_valid_now(document: bytes, now_ms: int) -> None:
    certificates = [x509.load_der_x509_certificate(der) for der in certificates_of(document)]
    for certificate in certificates:
        start = certificate.not_valid_before_utc.timestamp() * 1000
        assert start <= now_ms <= certificate.not_valid_after_utc.timestamp() * 1000
    for issuer, issued in itertools.pairwise(certificates):
        issued.verify_directly_issued_by(issuer)


def test_every_renewed_certificate_is_valid(
    make_module: MakeModule, attest: Attest, clock: Mock
) -> None:
    """Forty days in steps that meet every renewal, then back to the start."""
    module = make_module()
    first = attest(module)
    start = clock.return_value
    seen: list[set[bytes]] = [set() for _ in range(5)]
    for step in range(140):
        clock.return_value = start + step * 7 * HOUR_MS
        document = attest(module)
        assert_valid_now(document, clock.return_value)
        for level, der in zip(seen, certificates_of(document), strict=True):
            level.add(der)
    roots, regional, zonal, instance, leaf = (len(level) for level in seen)
    assert (roots, leaf) == (1, 140)
    assert 8 <= regional <= 10
    assert 80 <= zonal <= 84
    assert 80 <= instance <= 84
    clock.return_value = start
    assert certificates_of(attest(module)) == certificates_of(first)


def test_a_wrong_clock_is_told_at_the_start(
    pki: NsmPki, clock: Mock, make_module: MakeModule
) -> None:
    module = make_module()
    clock.return_value //= 1000
    identity = EnclaveIdentity.create(clock=clock)
    with pytest.raises(ClockOutsideValidityError, match="milliseconds, not seconds"):
        NitroSecurityModule(identity, pki, clock)
    with pytest.raises(ClockOutsideValidityError):
        module.handle(cbor2.dumps({"Attestation": {}}))
    assert ask(module, "LockPCR", index=16) == "LockPCR"


@pytest.mark.parametrize(
    ("request_bytes", "code", "reason"),
    [
        (bytes(4097), "InputTooLarge", "4097 bytes, and 4096 are the most"),
        (b"", "InvalidOperation", "ends too early"),
        (cbor2.dumps("Attestation"), "InvalidOperation", "its fields are missing"),
        (cbor2.dumps({"LockPCRs": {"range": 33}}), "InvalidIndex", "there are 32 PCRs"),
        (cbor2.dumps({"LockPCR": {"index": 3}}), "ReadOnlyIndex", "PCR3 is locked"),
    ],
)
def test_the_log_has_the_reason_that_the_wire_has_no_room_for(
    request_bytes: bytes,
    code: str,
    reason: str,
    make_module: MakeModule,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, "nsm_fake"):
        answer = cbor2.loads(make_module().handle(request_bytes))
    assert answer == {"Error": code}
    assert reason in caplog.text


def test_the_longest_response_is_far_from_the_limit(make_module: MakeModule) -> None:
    """What a request of 4096 bytes can ask for at most, with every register in the document."""
    module = make_module(region="ap-southeast-1")
    ask(module, "LockPCRs", range=32)
    # Variant and field by number, so that the field has most room.
    request = bytes.fromhex("a105a102590ff9") + bytes(4089)
    assert len(request) == 4096
    response = module.handle(request)
    assert 9000 < len(response) < 12288


def test_refused_requests_change_nothing(make_module: MakeModule) -> None:
    module = make_module()
    before = [module.describe_pcr(i) for i in range(32)]
    for variant, fields in (
        ("ExtendPCR", {"index": 0, "data": b"x"}),
        ("LockPCRs", {"range": 33}),
        ("LockPCR", {"index": 32}),
        ("ExtendPCR", {"index": 16}),
    ):
        assert ask(module, variant, **fields) in (
            "ReadOnlyIndex",
            "InvalidIndex",
            "InvalidOperation",
        )
    assert [module.describe_pcr(i) for i in range(32)] == before


def test_many_threads_are_served_one_after_another(make_module: MakeModule) -> None:
    """Each of 400 answers of a seeded stream comes once, and no extension is lost."""
    module, reference = make_module(seed=b"s"), make_module(seed=b"s")
    answers: list[bytes] = []

    def work() -> None:
        for _ in range(50):
            answers.append(ask(module, "GetRandom")["random"])
            ask(module, "ExtendPCR", index=20, data=b"x")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted(ask(reference, "GetRandom")["random"] for _ in range(400))
    for _ in range(400):
        last = ask(reference, "ExtendPCR", index=20, data=b"x")["data"]
    assert module.describe_pcr(20).value == last


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(times=st.lists(st.integers(-30 * DAY_MS, 30 * DAY_MS), min_size=1, max_size=6))
def test_documents_are_valid_wherever_the_clock_jumps(
    times: list[int], make_module: MakeModule, attest: Attest, clock: Mock
) -> None:
    module, start = make_module(), clock.return_value
    for later in times:
        clock.return_value = start + later
        assert_valid_now(attest(module), clock.return_value)
    clock.return_value = start
