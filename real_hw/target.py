"""The hardware target's place. It cannot run scenarios yet, and says so."""

from __future__ import annotations

from scenarios.target import TargetUnavailable


class HardwareTarget:
    """A real parent instance. Raises TargetUnavailable: nothing here drives one yet."""

    def __init__(self) -> None:
        raise TargetUnavailable(
            "The hardware target is not there yet: this version runs the scenarios against the "
            "simulator only (./toxw -e sim)."
        )
