"""Removes what runs on hardware left: keys with their tag, and what stands in their ledgers.

It looks first, then says what it would do, then does it, one thing after the other, whatever became
of those before, and at last lists what is still there. Nothing is touched that neither carries the
tag of a run nor stands in a ledger, and no run that still goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from real_hw import nitro_cli, run_keys
from real_hw.actions import ActionFailed, Actions, CallRefused, Command
from real_hw.keys import schedule_deletion
from real_hw.leftovers import FoundRuns, KilledRun, find_runs
from real_hw.run_keys import FoundKeys, RunKey

_FAILURES = (ActionFailed, CallRefused)
_WHY = "what a killed run left"
_FOLDER = "remove the folder "
_NO_IMAGE = "No such image"


@dataclass(frozen=True, slots=True)
class Found:
    """What runs left, as far as it could be found out."""

    keys: tuple[RunKey, ...]
    runs: tuple[KilledRun, ...]
    enclaves: Mapping[str, tuple[str, ...]]
    """The ids of enclaves that run, by the run that they are of."""
    remarks: tuple[str, ...]
    failures: tuple[str, ...]
    """What could not be looked for, so that something may be left there."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing to do."""

    run: str
    text: str
    do: Callable[[], object]
    """Raises ActionFailed, CallRefused."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is still there at the end."""

    lines: tuple[str, ...]
    is_clean: bool
    """Whether it is nothing but keys that wait for their deletion and runs that go on."""


class Clean:
    """One cleaning: of one run, or of all."""

    def __init__(
        self, actions: Actions, *, runs: Sequence[Path], run: str | None, region: str
    ) -> None:
        """`runs` are the folders in which runs have their folders."""
        self._actions = actions
        self._runs = runs
        self._run = run
        self._region = region

    def look(self) -> Found:
        """Find what is left. Changes nothing."""
        on_instance = find_runs(self._runs, self._run)
        failures: list[str] = []
        enclaves = self._enclaves(on_instance, failures)
        keys = self._keys(on_instance, failures)
        return Found(
            keys.keys,
            on_instance.runs,
            enclaves,
            (*on_instance.remarks, *keys.remarks),
            tuple(failures),
        )

    def removals(self, found: Found) -> list[Removal]:
        """What there is to do, in its order: enclaves first, since they hold the CPUs."""
        going_on = {one.run for one in found.runs if one.is_alive}
        ended = [one for one in found.runs if not one.is_alive]
        return [
            *(removal for one in ended for removal in self._of_enclaves(one, found)),
            *(one for key in found.keys if key.run not in going_on for one in self._of_key(key)),
            *(removal for one in ended for removal in self._of_images(one)),
            *map(self._of_folder, ended),
        ]

    def carry_out(self, found: Found, say: Callable[[str], None]) -> None:
        """Do it; says what fails, and goes on. A folder stays while something of its run may."""
        incomplete = {one.run for one in found.runs} if found.failures else set()
        for removal in self.removals(found):
            if removal.text.startswith(_FOLDER) and removal.run in incomplete:
                say(f"not done, for the ledger in it is still needed: {removal.text}")
                continue
            try:
                removal.do()
            except _FAILURES as error:
                incomplete.add(removal.run)
                say(f"failed: {removal.text}: {error}")
            else:
                say(f"done: {removal.text}")

    def left(self, found: Found) -> Left:
        """What is there now of what was found, looked for once more."""
        failures: list[str] = []
        keys = list(self._now(found.keys, failures))
        on_instance = find_runs(self._runs, self._run)
        enclaves = self._enclaves(on_instance, failures)
        ended = [one for one in on_instance.runs if not one.is_alive]
        lines = [
            *map(str, keys),
            *(f"enclave {name} of run {run}" for run, names in enclaves.items() for name in names),
            *(f"run {one.run} in {one.folder}: {_things(one)}" for one in on_instance.runs),
            *(f"not known: {failure}" for failure in failures),
        ]
        going_on = {one.run for one in on_instance.runs if one.is_alive}
        waiting = all(key.is_waiting for key in keys if key.run not in going_on)
        return Left(tuple(lines), waiting and not ended and not failures)

    def _keys(self, on_instance: FoundRuns, failures: list[str]) -> FoundKeys:
        """Those with the tag, and those that stand in a ledger without one."""
        try:
            tagged = run_keys.find_keys(self._actions, self._run)
        except _FAILURES as error:
            failures.append(f"the keys of runs in {self._region}: {error}")
            tagged = FoundKeys(())
        known = {key.arn for key in tagged.keys} | {key.id for key in tagged.keys}
        noted = [
            RunKey(name, one.run, "unknown")
            for one in on_instance.runs
            for name in one.names("key")
            if name not in known
        ]
        more = tuple(self._now(noted, failures))
        return FoundKeys((*tagged.keys, *more), tagged.remarks)

    def _now(self, keys: Sequence[RunKey], failures: list[str]) -> Iterator[RunKey]:
        """The keys as they are now, without those that are gone."""
        for key in keys:
            try:
                now = run_keys.described(self._actions, key.arn, key.run)
            except _FAILURES as error:
                failures.append(f"the state of key {key.arn} of run {key.run}: {error}")
            else:
                if now is not None:
                    yield now

    def _enclaves(
        self, on_instance: FoundRuns, failures: list[str]
    ) -> Mapping[str, tuple[str, ...]]:
        """The enclaves that run and stand in a ledger, by id or, if that is not known, by name."""
        wanted = [one for one in on_instance.runs if any("enclave" in t.what for t in one.things)]
        if not wanted:
            return {}
        try:
            running = nitro_cli.enclaves(self._actions, "whether an enclave of a run still runs")
        except ActionFailed as error:
            failures.append(f"the enclaves of killed runs: {error}")
            return {}
        found = {one.run: tuple(_of_run(one, running)) for one in wanted}
        return {run: names for run, names in found.items() if names}

    def _of_enclaves(self, run: KilledRun, found: Found) -> Iterator[Removal]:
        for name in found.enclaves.get(run.run, ()):
            yield Removal(
                run.run,
                f"terminate enclave {name} of run {run.run}",
                partial(nitro_cli.terminate, self._actions, name, _WHY),
            )

    def _of_key(self, key: RunKey) -> Iterator[Removal]:
        if not key.is_waiting:
            yield Removal(
                key.run,
                f"disable key {key.arn} of run {key.run} and schedule its deletion",
                partial(schedule_deletion, self._actions, key.arn),
            )

    def _of_images(self, run: KilledRun) -> Iterator[Removal]:
        # A name that is not the run's own is not believed, whatever the ledger says.
        for name in run.names("image"):
            if run.run in name:
                yield Removal(
                    run.run,
                    f"remove docker image {name} of run {run.run}",
                    partial(self._remove_image, name),
                )

    def _of_folder(self, run: KilledRun) -> Removal:
        return Removal(
            run.run,
            f"{_FOLDER}{run.folder} of run {run.run}, with its ledger, logs and consoles",
            partial(self._actions.remove, run.folder, _WHY),
        )

    def _remove_image(self, name: str) -> None:
        words = ("docker", "image", "rm", "--force", name)
        command = Command(words, _WHY, "Docker CLI reference, docker image rm")
        finished = self._actions.run(command)
        if finished.exit_code and _NO_IMAGE not in finished.stderr:
            raise ActionFailed(f"{' '.join(words)} said: {finished.stderr.strip()[:500]}")


def _of_run(run: KilledRun, running: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The enclaves of a run: noted by id, called after it, or booted from a file in its folder.

    Those that scenarios boot have neither; their process still has the words that started it.
    """
    noted = set(run.names("enclave"))
    for enclave in running:
        name = str(enclave.get("EnclaveName", ""))
        is_named = enclave.get("EnclaveID") in noted or name.startswith(run.run)
        if is_named or _is_booted_from(run.folder, enclave.get("ProcessID")):
            yield str(enclave["EnclaveID"])


def _is_booted_from(folder: Path, process: object) -> bool:
    try:
        words = Path("/proc", str(process), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word.startswith(os.fsencode(folder.absolute()) + b"/") for word in words)


def _things(run: KilledRun) -> str:
    told = "; ".join(map(str, run.things))
    return f"it still goes on, and has {told}" if run.is_alive else told
