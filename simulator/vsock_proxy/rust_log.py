"""The proxy's log: standard error, and what RUST_LOG asks for, as env_logger 0.10 writes it.

Without RUST_LOG only errors are logged, of which the proxy has none. Colours are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from simulator.nitro_cli.session import CannotPrint, write

_LEVELS = ("off", "error", "warn", "info", "debug", "trace")
_STDERR = 2


class Log:
    """Lines for standard error; `write` takes the text of one or more."""

    def __init__(self, rust_log: str, output: Callable[[str], None]) -> None:
        self._rules = _rules(rust_log)
        self.write = output

    def caution(self, target: str, message: str) -> None:
        """Of level WARN."""
        self._log("warn", target, message)

    def inform(self, target: str, message: str) -> None:
        """Of level INFO."""
        self._log("info", target, message)

    def _log(self, level: str, target: str, message: str) -> None:
        if _LEVELS.index(level) <= self._level(target):
            time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            self.write(f"[{time} {level.upper():<5} {target}] {message}\n")

    def _level(self, target: str) -> int:
        """That of the longest rule for the target."""
        found = [(len(prefix), level) for prefix, level in self._rules if target.startswith(prefix)]
        return max(found)[1] if found else 0


def to_standard_error(text: str) -> None:
    """Write it there, if anybody reads it."""
    with suppress(CannotPrint):
        write(_STDERR, text)


def _rules(rust_log: str) -> list[tuple[str, int]]:
    """The targets' beginnings and their levels; `/regex` is not looked at."""
    rules = []
    for part in filter(str.strip, rust_log.partition("/")[0].split(",")):
        target, equals, level = part.strip().rpartition("=")
        if not equals and level.lower() not in _LEVELS:
            target, level = level, "trace"
        if level.lower() in _LEVELS:
            rules.append((target, _LEVELS.index(level.lower())))
    return rules
