"""What a target answers where it lacks what is asked: scenarios that need it are skipped before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NoReturn

from scenarios.target import (
    Capability,
    Enclave,
    FreshInstance,
    Key,
    KmsError,
    Members,
    RawAnswer,
    Result,
    Statement,
)

# Each argument below is the contract's.
# ruff: noqa: ARG002


class Lacking:
    """A target without anything but its name. Each method raises RuntimeError."""

    name: str

    def enclave(self, *, debug: bool = False) -> Enclave:
        """Not here."""
        self._lacks(Capability.ENCLAVE)

    def key(self, statements: Sequence[Statement]) -> Key:
        """Not here."""
        self._lacks(Capability.POLICY_CHANGE)

    def fresh_instance(self, *, with_rustup: bool = False) -> AbstractContextManager[FreshInstance]:
        """Not here."""
        self._lacks(Capability.FRESH_INSTANCE)

    def pass_time(self, seconds: float) -> None:
        """Not here."""
        self._lacks(Capability.PASS_MINUTES)

    def foreign_document(self, *, pcrs: Mapping[int, str]) -> bytes:
        """Not here."""
        self._lacks(Capability.FOREIGN_DOCUMENT)

    def rule_set(self, name: str) -> AbstractContextManager[None]:
        """Not here."""
        self._lacks(Capability.RULE_SETS)

    def identity_policy(self, statements: Sequence[Statement]) -> AbstractContextManager[None]:
        """Not here."""
        self._lacks(Capability.IDENTITY_POLICIES)

    def _lacks(self, capability: Capability) -> NoReturn:
        raise RuntimeError(f"the target {self.name} lacks {capability.value}")


class NoKms:
    """KMS of a target that asks none. Each method raises RuntimeError."""

    def call(self, operation: str, members: Members) -> Result | KmsError:
        """Not here."""
        raise RuntimeError(_NO_KMS)

    def send(self, operation: str, members: Members) -> Result | KmsError:
        """Not here."""
        raise RuntimeError(_NO_KMS)

    def raw(self, operation: str, members: Members) -> RawAnswer:
        """Not here."""
        raise RuntimeError(_NO_KMS)


_NO_KMS = "this target has no KMS"
