"""One run of the suite: what came of its scenarios, what is recorded of them and held to records.

What the root conftest keeps between pytest's calls. It knows no pytest and no target but by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scenarios.comparing import differences, unexplained
from scenarios.known_differences import HELD, KNOWN_DIFFERENCES
from scenarios.notes import Notes
from scenarios.recording import Destination, Due, destination, record
from scenarios.records import BadRecord, Record
from scenarios.results import Run, ScenarioResult, write
from scenarios.watching import Watched


@dataclass(slots=True)
class Suite:
    """The scenarios of this run, and the target once one of them has opened it."""

    notes: Notes = field(default_factory=Notes)
    results: dict[str, ScenarioResult] = field(default_factory=dict)
    """By node id, in the order in which they ran."""
    deselected: int = 0
    target: Watched | None = None
    stands_on: str = ""
    """How the simulator's programs reach NSM and vsock, in words."""
    said: dict[str, None] = field(default_factory=dict)
    """Sentences for the end of the run, in order, each once."""
    hardware: dict[str, Record] = field(default_factory=dict)
    """What was recorded on hardware, by node id."""
    due: Due | None = None

    @property
    def provenance(self) -> Mapping[str, str]:
        """On what the scenarios run, as far as it is known."""
        return {} if self.target is None else self.target.provenance

    def say(self, sentence: str) -> None:
        """Keep a sentence for the end of the run."""
        if sentence:
            self.said[sentence] = None

    def not_as_recorded(self, nodeid: str, target: str) -> str | None:
        """What of a scenario that passed is not as it was seen on hardware; None if all is."""
        kept, result = self.hardware.get(nodeid), self.results[nodeid]
        if kept is None or target not in HELD:
            return None
        other = differences(kept.steps, result.steps)
        sentences = list(unexplained(result.id, target, other, KNOWN_DIFFERENCES))
        if not sentences:
            return None
        return "\n".join((f"Not as recorded on hardware on {kept.when}:", *sentences))

    def record(
        self, nodeid: str, target: str, file: str, *, beside: Path, named: Path | None
    ) -> None:
        """Keep the evidence of a scenario that passed, where it is evidence."""
        where = destination(target, self.provenance.get("root_sha256"), beside, named)
        if not isinstance(where, Destination):
            self.say(where)
            return
        result = self.results[nodeid]
        try:
            record(result, where, file, self.provenance)
        except (BadRecord, OSError) as error:
            self.say(f"{result.id} was not recorded: {error}")
        else:
            self.say(f"Passing scenarios were recorded as {where.target} in {where.folder}.")

    def write(self, target: str, folder: Path) -> None:
        """Write what came of the scenarios that have run; what cannot be written is said."""
        run = Run(
            target=target,
            transport=self.stands_on,
            provenance=self.provenance,
            deselected=self.deselected,
            scenarios=tuple(self.results.values()),
        )
        try:
            file = write(run, folder)
        except OSError as error:
            self.say(
                f"The results were not written into {folder}: {error.strerror}. "
                "--results FOLDER puts them elsewhere."
            )
        else:
            self.say(f"What each did is in {file}.")
