"""What the tests of the NSM share: a clock to move, modules to ask, and the real documents."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import cbor2
import pytest

from nsm_fake import EnclaveIdentity, NitroSecurityModule, NsmPki, OuterMap

START_MS = 1_785_784_796_857
"""2026-08-03T19:19:56.857Z, when the newest real document was made."""


@pytest.fixture
def clock() -> Mock:
    """A clock that stands still: move it with `clock.return_value += MILLISECONDS`."""
    return Mock(return_value=START_MS)


@pytest.fixture(scope="session")
def pki() -> NsmPki:
    return NsmPki(b"tests/nsm_fake")


@pytest.fixture
def make_module(clock: Mock, pki: NsmPki) -> Callable[..., NitroSecurityModule]:
    """Builds a module; every argument has a valid default."""

    def build(
        *,
        pki: NsmPki = pki,
        seed: bytes | None = None,
        outer_map: OuterMap = OuterMap.INDEFINITE,
        **identity: Any,
    ) -> NitroSecurityModule:
        made = EnclaveIdentity.create(clock=clock, seed=seed, **identity)
        return NitroSecurityModule(made, pki, clock, seed=seed, outer_map=outer_map)

    return build


@pytest.fixture
def attest() -> Callable[..., bytes]:
    """Asks a module for a document with the given fields."""

    def ask(module: NitroSecurityModule, **fields: bytes | None) -> bytes:
        answer = cbor2.loads(module.handle(cbor2.dumps({"Attestation": fields})))
        document: bytes = answer["Attestation"]["document"]
        return document

    return ask
