"""Key policies on the attested measurements: what they stop, and the traps in writing them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scenarios.target import (
    Capability,
    Key,
    KmsError,
    MakeStatement,
    Opened,
    Refused,
    Result,
    Target,
)

pytestmark = pytest.mark.needs(Capability.ENCLAVE)

PCR0 = "kms:RecipientAttestation:PCR0"
IMAGE = "kms:RecipientAttestation:ImageSha384"
ZERO = "00" * 48
NOT_ZERO = "11" * 48


Answer = Opened | Result | KmsError | Refused


def opened(answer: Answer) -> bool:
    """Whether KMS let the call through."""
    return isinstance(answer, Opened | Result)


def denied(answer: Answer) -> bool:
    """Whether a policy stopped the call."""
    return isinstance(answer, KmsError) and answer.code == "AccessDeniedException"


@pytest.fixture
def attested(target: Target) -> Callable[[Key], Answer]:
    """The live enclave calls Decrypt with a good document."""

    def call(key: Key) -> Answer:
        return target.enclave().run("Decrypt", {"CiphertextBlob": key.encrypt(b"secret")})

    return call


@pytest.fixture
def unattested(target: Target) -> Callable[[Key], Answer]:
    """The parent calls Decrypt itself, without Recipient."""

    def call(key: Key) -> Answer:
        return target.kms.call("Decrypt", {"CiphertextBlob": key.encrypt(b"secret")})

    return call


Call = Callable[[Key], Answer]


@pytest.mark.needs(Capability.POLICY_CHANGE)
@pytest.mark.reported("EphemeralML audit: wrong PCR0, valid document")
def test_wrong_pcr0(target: Target, statement: MakeStatement, attested: Call) -> None:
    """A good document of another image than the policy names is denied by the policy."""
    key = target.key([statement(condition={"StringEqualsIgnoreCase": {PCR0: NOT_ZERO}})])
    assert denied(attested(key))


@pytest.mark.needs(Capability.POLICY_CHANGE)
@pytest.mark.reported("yawn/ned README, a run on real KMS: text and HTTP 400")
def test_wrong_pcr0_names_caller_key_and_reason(
    target: Target, statement: MakeStatement, attested: Call
) -> None:
    """The denial names who, what and which key, and that no resource-based policy allows it."""
    key = target.key([statement(condition={"StringEqualsIgnoreCase": {PCR0: NOT_ZERO}})])
    answer = attested(key)
    assert isinstance(answer, KmsError), answer
    assert answer.http_status == 400
    who, rest = answer.message.split(" is not authorized to perform: ")
    role = target.role_arn.rpartition("/")[2]
    assert who.startswith("User: arn:aws:sts::")
    assert f":assumed-role/{role}/" in who
    assert rest == (
        f"kms:Decrypt on resource: {key.arn} because no resource-based policy allows the "
        "kms:Decrypt action"
    )


@pytest.mark.reported("EphemeralML audit: no Recipient")
def test_no_recipient_on_an_attested_key(attested_key: Key, unattested: Call) -> None:
    """Without a document the condition's key is absent, and the condition is not met."""
    assert denied(unattested(attested_key))


@pytest.mark.needs(Capability.DEBUG_ENCLAVE)
@pytest.mark.reported("EphemeralML audit: debug-mode enclave against a policy with the real PCR0")
def test_debug_enclave_against_the_real_pcr0(target: Target, attested_key: Key) -> None:
    """The same image booted in debug mode attests zeros and is denied."""
    blob = attested_key.encrypt(b"secret")
    debug = target.enclave(debug=True)
    assert debug.pcrs[0] == debug.pcrs[1] == debug.pcrs[2] == ZERO
    assert denied(debug.run("Decrypt", {"CiphertextBlob": blob}))


@pytest.mark.needs(Capability.POLICY_CHANGE, Capability.DEBUG_ENCLAVE)
@pytest.mark.documented("aws-nitro-enclaves-sdk-c, docs/kmstool.md: policy for debug mode")
def test_zero_pcr_policy_lets_any_debug_enclave_in(
    target: Target, statement: MakeStatement
) -> None:
    """A policy with 96 zeros for the image works in debug mode, for every image there is."""
    key = target.key([statement(condition={"StringEqualsIgnoreCase": {IMAGE: ZERO}})])
    blob = key.encrypt(b"secret")
    assert opened(target.enclave(debug=True).run("Decrypt", {"CiphertextBlob": blob}))
    assert denied(target.enclave().run("Decrypt", {"CiphertextBlob": blob}))


@pytest.mark.needs(Capability.POLICY_CHANGE)
@pytest.mark.inferred("AWS KMS Developer Guide: value is lower-case hexadecimal; KMS supplies such")
def test_upper_case_hex(target: Target, statement: MakeStatement, attested: Call) -> None:
    """The right PCR0 in upper case never matches with StringEquals, and does with IgnoreCase."""
    image = target.enclave().pcrs[0].upper()
    exact = target.key([statement(condition={"StringEquals": {PCR0: image}})])
    assert denied(attested(exact))
    any_case = target.key([statement(condition={"StringEqualsIgnoreCase": {PCR0: image}})])
    assert opened(attested(any_case))


@pytest.mark.needs(Capability.POLICY_CHANGE)
@pytest.mark.documented("IAM User Guide, IfExists condition operators")
def test_if_exists_lets_the_parent_in(
    target: Target, statement: MakeStatement, attested: Call, unattested: Call
) -> None:
    """`StringEqualsIfExists` is met by a call without a document: the parent can decrypt."""
    image = target.enclave().pcrs[0]
    key = target.key([statement(condition={"StringEqualsIfExists": {PCR0: image}})])
    assert opened(attested(key))
    assert opened(unattested(key))


@pytest.mark.needs(Capability.POLICY_CHANGE)
@pytest.mark.reported("EphemeralML and prowler use it; IAM User Guide, Null condition operator")
def test_deny_with_null_stops_calls_without_a_document(
    target: Target, statement: MakeStatement, attested: Call, unattested: Call
) -> None:
    """Deny where PCR0 is null closes what an unconditional Allow beside it would open."""
    deny = statement(effect="Deny", condition={"Null": {PCR0: "true"}})
    key = target.key([statement(), deny])
    assert opened(attested(key))
    answer = unattested(key)
    assert isinstance(answer, KmsError), answer
    assert answer.message.endswith("with an explicit deny in a resource-based policy")


@pytest.mark.needs(Capability.POLICY_CHANGE)
@pytest.mark.reported("EphemeralML aed1938; aws-nitro-enclaves-sdk-c issues 100 and 157")
def test_root_with_an_identity_allow_bypasses_pcr0(
    target: Target, statement: MakeStatement, unattested: Call
) -> None:
    """`kms:*` for the account root hands the decision to IAM: an Allow there needs no document."""
    conditioned = statement(condition={"StringEqualsIgnoreCase": {PCR0: NOT_ZERO}})
    root = statement(principal=target.account_root, actions=("kms:*",))
    assert opened(unattested(target.key([conditioned, root])))


@pytest.mark.needs(Capability.POLICY_CHANGE, Capability.IDENTITY_POLICIES)
@pytest.mark.documented("AWS KMS Developer Guide, Default key policy: root only enables IAM")
def test_root_alone_allows_nobody(
    target: Target, statement: MakeStatement, unattested: Call
) -> None:
    """The same root statement, for a role that IAM allows nothing, is no permission."""
    key = target.key([statement(principal=target.account_root, actions=("kms:*",))])
    with target.identity_policy([]):
        assert denied(unattested(key))


@pytest.mark.needs(Capability.POLICY_CHANGE)
@pytest.mark.documented("AWS KMS Developer Guide, condition keys for Nitro Enclaves: PCR0 to PCR8")
def test_every_measurement_can_be_demanded(
    target: Target, statement: MakeStatement, attested: Call
) -> None:
    """A policy on PCR0 to PCR4 is met by the enclave, and by no other instance or role."""
    pcrs = target.enclave().pcrs
    names = {index: f"kms:RecipientAttestation:PCR{index}" for index in (0, 1, 2, 3, 4)}
    right = {name: pcrs[index] for index, name in names.items()}
    assert opened(attested(target.key([statement(condition={"StringEquals": right})])))
    for index in (3, 4):
        wrong = {**right, names[index]: NOT_ZERO}
        assert denied(attested(target.key([statement(condition={"StringEquals": wrong})])))
