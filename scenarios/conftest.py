"""What the scenarios share: statements of key policies, keys, and ways to damage a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from scenarios.target import (
    ATTESTED_ACTIONS,
    Capability,
    FreshInstance,
    Key,
    MakeStatement,
    ParentInstance,
    Statement,
    Target,
)

ELSEWHERE = {
    Capability.PARENT_INSTANCE,
    Capability.NITRO_CLI,
    Capability.FRESH_INSTANCE,
    Capability.SYSTEMS_MANAGER,
}
"""Who needs one of them is on a machine of its own, which is the same whatever --transport says."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --only-by-transport."""
    parser.addoption(
        "--only-by-transport",
        action="store_true",
        help="leave out the scenarios that are the same whatever --transport says: for one of "
        "two runs",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what --only-by-transport leaves out."""
    if config.getoption("--only-by-transport"):
        left_out = [item for item in items if _is_elsewhere(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _is_elsewhere(item: pytest.Item) -> bool:
    return any(not ELSEWHERE.isdisjoint(mark.args) for mark in item.iter_markers("needs"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Nothing is left of `-k setup`, and that is no mistake."""
    if session.config.getoption("--only-by-transport") and (
        exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
    ):
        session.exitstatus = pytest.ExitCode.OK


@pytest.fixture
def statement(target: Target) -> MakeStatement:
    """The builder of statements."""

    def make(
        *,
        effect: str = "Allow",
        principal: str | None = None,
        actions: tuple[str, ...] = ATTESTED_ACTIONS,
        condition: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Statement:
        made: dict[str, Any] = {
            "Effect": effect,
            "Principal": {"AWS": principal or target.role_arn},
            "Action": list(actions),
            "Resource": "*",
        }
        if condition is not None:
            made["Condition"] = condition
        return made

    return make


@pytest.fixture
def open_key(target: Target, statement: MakeStatement) -> Key:
    """A key that the parent instance's role may use without any condition.

    With it a refusal has nothing to do with policy, as in the field notes.
    """
    return target.key([statement()])


@pytest.fixture
def attested_key(target: Target, statement: MakeStatement) -> Key:
    """A key that only the live enclave may use: by its PCR0, as AWS's documents advise."""
    image = target.enclave().pcrs[0]
    condition = {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": image}}
    return target.key([statement(condition=condition)])


@pytest.fixture
def flipped() -> Callable[[bytes, int], bytes]:
    """Makes a copy of a document with the lowest bit of one byte flipped."""

    def flip(document: bytes, position: int) -> bytes:
        damaged = bytearray(document)
        damaged[position] ^= 1
        return bytes(damaged)

    return flip


@pytest.fixture
def recipient_of() -> Callable[[bytes], Mapping[str, Any]]:
    """Makes the Recipient that the parent sends with a document it has got hold of."""

    def make(document: bytes) -> Mapping[str, Any]:
        return {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": document}

    return make


@pytest.fixture(scope="session")
def recipient_spki() -> bytes:
    """The DER SubjectPublicKeyInfo of an RSA-2048 key, for documents that a scenario asks for."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def parent(target: Target) -> Iterator[ParentInstance]:
    """A parent instance on which no enclave runs."""
    with target.parent_instance() as instance:
        yield instance


@pytest.fixture
def fresh(target: Target) -> Iterator[FreshInstance]:
    """An instance as launched, without any package."""
    with target.fresh_instance() as instance:
        yield instance


@pytest.fixture
def fresh_with_rustup(target: Target) -> Iterator[FreshInstance]:
    """An instance as launched, whose user ec2-user has installed Rust with rustup."""
    with target.fresh_instance(with_rustup=True) as instance:
        yield instance
