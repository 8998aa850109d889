"""Why nitro-cli failed: what its error message, its backtrace and its exit code are made of.

A value that travels as JSON from the broker to the command, which words it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One `NitroCliFailure` (src/common/mod.rs): a code, and the way to it from the inside."""

    code: str
    """`E29`."""
    subactions: tuple[str, ...]
    """Innermost first, as they are added; a backtrace shows them outermost first."""
    file: str
    """The source file of the real one that finds it, as its backtrace names it."""
    line: int
    infos: tuple[str, ...] = ()
    """What the message's placeholders get, in their order."""
    action: str = ""
    """`Run Enclave`; set by the command."""
    process: str = ""
    """Who found it, as the log names it: `enc-xxxxxxx:1234`. The command itself if it is empty."""

    def within(self, *subactions: str, action: str = "") -> Self:
        """The same failure as whoever called the finder passes it on."""
        return replace(
            self, subactions=(*self.subactions, *subactions), action=action or self.action
        )

    def to_json(self) -> dict[str, Any]:
        """Members for JSON."""
        return {
            "code": self.code,
            "subactions": list(self.subactions),
            "file": self.file,
            "line": self.line,
            "infos": list(self.infos),
            "action": self.action,
            "process": self.process,
        }

    @classmethod
    def from_json(cls, members: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            **{
                **members,
                "subactions": tuple(members["subactions"]),
                "infos": tuple(members["infos"]),
            }
        )
