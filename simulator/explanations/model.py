"""What an explanation is: plain values, written by hand in the modules beside this one."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from kms_fake.evidence import Evidence


class Sdk(enum.Enum):
    """A client of KMS for which a fix is written differently. The value is what users type."""

    RUST = "rust"
    GO = "go"
    PYTHON = "python"
    JAVA = "java"
    JAVASCRIPT = "javascript"
    C = "c"
    CLI = "cli"

    @property
    def label(self) -> str:
        """The name for readers."""
        return _LABELS[self]


_LABELS = {
    Sdk.RUST: "Rust",
    Sdk.GO: "Go",
    Sdk.PYTHON: "Python",
    Sdk.JAVA: "Java",
    Sdk.JAVASCRIPT: "JavaScript",
    Sdk.C: "C",
    Sdk.CLI: "AWS CLI",
}


class Role(enum.Enum):
    """How an explanation stands to others that the same text calls for."""

    ERROR = "error"
    """It names the reason itself."""
    WRAPPER = "wrapper"
    """What a client prints around the reason, which it hides; not shown where a reason is."""
    LAST = "last"
    """For a text that says no more than its exception; not shown where anything else is."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason why a caller gets the error."""

    what: str
    tell: str = ""
    """How to tell this cause from the others."""


@dataclass(frozen=True, slots=True)
class Claim:
    """How sure it is that the text means this, and where it is known from."""

    evidence: Evidence
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One entry of the table.

    A new refusal of `kms_fake` needs one: `id` is the id of its row; the text that the fake marks
    as its own is found by that id alone, so that `texts` may stay empty. Evidence and source of a
    row are taken from the row; whatever is no row states its own `claim`.
    """

    id: str
    error: str
    """The error in short, as its users see it."""
    meaning: str
    fix: str
    texts: tuple[str, ...] = ()
    """What to look for: letters and digits count, `{}` stands for what differs (150 of them)."""
    near: tuple[str, ...] = ()
    """Where `texts` are words that others use too: one of these must be in the text as well, or
    the text be one of `texts` and nothing more."""
    code: str = ""
    """A number such as E39, by which nitro-cli names it. It is found as the whole of a text, and
    as a word of one that speaks of nitro or of an enclave."""
    causes: tuple[Cause, ...] = ()
    """The likely ones first."""
    per_sdk: Mapping[Sdk, str] = field(default_factory=dict)
    """The fix in the words of each SDK, where they differ."""
    field_note: str = ""
    """The number of the bug in the field notes from which this project grew."""
    correction: str = ""
    """What of the field notes' explanation proved wrong."""
    rules: tuple[str, ...] = ()
    """Other rows of `kms_fake` than `id` that answer so; one without an entry of its own is found
    by its id here."""
    claim: Claim | None = None
    role: Role = Role.ERROR
