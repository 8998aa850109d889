"""The statements of policies, with what their conditions say of attestation.

This is a reading for people who look for mistakes: it keeps what the evaluator of `kms_fake` folds
away, the spelling and the place of everything. Whether a request is allowed is never decided here.

Sources: "Condition keys for Nitro Enclaves" and "Condition keys for NitroTPM" (KMS Developer
Guide), "IAM JSON policy elements: Condition operators" and "Conditions with multiple context keys
or values" (IAM User Guide); all documented.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from kms_fake.policy import PolicyKind
from kms_fake.wildcards import compile_wildcards
from simulator.policy_check.reading import PolicyFile

ATTESTED_ACTIONS = (
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:DeriveSharedSecret",
)
"""The actions on a key that take a Recipient (service model of KMS). GenerateRandom takes one too
and uses no key, so that no key policy is asked."""

NO_KEY_ACTION = "kms:GenerateRandom"


class Platform(enum.Enum):
    """What signs an attestation document; its measurements have condition keys of their own."""

    ENCLAVE = "PCR"
    NITRO_TPM = "NitroTPMPCR"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a condition key of attestation is about."""

    platform: Platform
    pcr: int

    @property
    def key(self) -> str:
        """The name of the condition key, as the documentation spells it."""
        return f"kms:RecipientAttestation:{self.platform.value}{self.pcr}"


_PREFIX = "kms:recipientattestation:"
_IMAGE = f"{_PREFIX}imagesha384"
_ENCLAVE_KEY = re.compile(rf"{_PREFIX}pcr([0-9]|[12][0-9]|3[01])")
_TPM_KEY = re.compile(rf"{_PREFIX}nitrotpmpcr([0-9]|1[0-9]|2[0-3])")
_LAST_PART = re.compile(r"(?:nitrotpm)?pcr[0-9]+|imagesha(?:384)?")


def measurement_of(key: str) -> Measurement | None:
    """What the condition key `key` measures; None if it is no key of attestation.

    Names are case-insensitive ("IAM JSON policy elements: Condition"). The bounds are those of the
    devices, 32 PCRs of the NSM and 24 of a TPM (inferred): AWS states none.
    """
    folded = key.lower()
    if folded == _IMAGE:
        return Measurement(Platform.ENCLAVE, 0)
    for platform, pattern in ((Platform.ENCLAVE, _ENCLAVE_KEY), (Platform.NITRO_TPM, _TPM_KEY)):
        match = pattern.fullmatch(folded)
        if match:
            return Measurement(platform, int(match[1]))
    return None


def is_misspelt(key: str) -> bool:
    """Whether `key` is none of attestation and looks as if it was meant to be one."""
    if measurement_of(key) is not None:
        return False
    parts = key.lower().split(":")
    if parts[0] not in {"kms", "aws"}:
        parts.insert(0, "")
    name = parts[1] if len(parts) > 1 else ""
    if name == "encryptioncontext":
        return False
    if SequenceMatcher(a=name, b="recipientattestation").ratio() >= 0.75:
        return True
    return parts[0] != "aws" and _LAST_PART.fullmatch(parts[-1]) is not None


_OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?(.+?)(IfExists)?")


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator over one condition key, as a statement has it."""

    path: str
    operator: str
    """As it is spelt, for example `ForAllValues:StringEqualsIfExists`."""
    key: str
    values: tuple[str, ...]

    @property
    def set_operator(self) -> str | None:
        """`ForAllValues`, `ForAnyValue` or None."""
        return self._parts[0]

    @property
    def base(self) -> str:
        """The operator without set operator and IfExists, for example `StringNotLike`."""
        return self._parts[1]

    @property
    def if_exists(self) -> bool:
        """Whether it ends in IfExists."""
        return self._parts[2]

    @property
    def _parts(self) -> tuple[str | None, str, bool]:
        match = _OPERATOR.fullmatch(self.operator)
        return (match[1], match[2], match[3] is not None) if match else (None, "", False)

    @property
    def negated(self) -> bool:
        """Whether the operator asks that no value matches."""
        return "Not" in self.base

    @property
    def measurement(self) -> Measurement | None:
        """What it measures; None if it is not about attestation."""
        return measurement_of(self.key)

    @property
    def misspelt(self) -> bool:
        """Whether its key was meant to be one of attestation and is none."""
        return is_misspelt(self.key)

    @property
    def attestation(self) -> bool:
        """Whether it is about attestation, or meant to be."""
        return self.measurement is not None or self.misspelt

    @property
    def holds_when_absent(self) -> bool:
        """Whether it is true of a request without the key ("Condition operators")."""
        if self.base == "Null":
            return "true" in self.values
        if self.set_operator == "ForAllValues" or self.if_exists:
            return True
        return self.negated and self.set_operator is None


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, with its place."""

    file: PolicyFile
    index: int
    path: str
    """Where it stands in the file: `Statement[0]`."""
    element: Mapping[str, Any]
    conditions: tuple[Condition, ...]

    @property
    def allows(self) -> bool:
        """Whether its effect is Allow."""
        return self.element.get("Effect") == "Allow"

    @property
    def in_key_policy(self) -> bool:
        """Whether it stands in the key policy, and not in an IAM policy."""
        return self.file.kind is PolicyKind.KEY

    @property
    def sid(self) -> str | None:
        """Its Sid, if it has one."""
        sid = self.element.get("Sid")
        return sid if isinstance(sid, str) and sid else None

    @property
    def attestation(self) -> tuple[Condition, ...]:
        """Its conditions that are about attestation, or meant to be."""
        return tuple(condition for condition in self.conditions if condition.attestation)

    @property
    def actions(self) -> tuple[str, ...]:
        """The patterns of its Action element."""
        return strings(self.element.get("Action"))

    def is_about(self, action: str) -> bool:
        """Whether Action or NotAction makes it a statement about `action`."""
        if "NotAction" in self.element:
            return not _any_matches(strings(self.element["NotAction"]), action)
        return _any_matches(self.actions, action)

    def is_about_any(self, actions: Iterable[str]) -> bool:
        """Whether it is about one of `actions`."""
        return any(map(self.is_about, actions))

    def principals(self, element: str = "Principal") -> tuple[str, ...]:
        """What Principal, or NotPrincipal, lists under AWS; `*` for everybody."""
        value = self.element.get(element)
        return strings(value.get("AWS") if isinstance(value, Mapping) else value)

    @property
    def services(self) -> tuple[str, ...]:
        """The AWS services that Principal lists."""
        value = self.element.get("Principal")
        return strings(value.get("Service")) if isinstance(value, Mapping) else ()


def statements_of(file: PolicyFile) -> tuple[Statement, ...]:
    """The statements of a policy. What is malformed is passed over: the evaluator refuses it."""
    element = file.document.get("Statement")
    several = isinstance(element, list)
    listed: list[object] = element if isinstance(element, list) else [element]
    return tuple(
        Statement(
            file, index, path, each, tuple(_conditions(each.get("Condition"), f"{path}.Condition"))
        )
        for index, each in enumerate(listed)
        if isinstance(each, Mapping)
        for path in [f"Statement[{index}]" if several else "Statement"]
    )


def _conditions(element: object, path: str) -> Iterator[Condition]:
    for operator, block in (element if isinstance(element, Mapping) else {}).items():
        for key, values in (block if isinstance(block, Mapping) else {}).items():
            yield Condition(f"{path}.{operator}.{key}", operator, key, _texts(values))


def _texts(values: object) -> tuple[str, ...]:
    listed = values if isinstance(values, list) else [values]
    return tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in listed)


def strings(value: object) -> tuple[str, ...]:
    """The strings in a string or a list."""
    listed = value if isinstance(value, list) else [value]
    return tuple(each for each in listed if isinstance(each, str))


def _any_matches(patterns: Iterable[str], action: str) -> bool:
    return any(compile_wildcards(pattern.lower()).fullmatch(action.lower()) for pattern in patterns)
