"""The check of the kernel's log: which lines of the driver are noise, and what the others mean.

Source: Linux, drivers/virt/nitro_enclaves/ne_misc_dev.c; read, not run.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kms_fake.evidence import Evidence
from simulator.doctor.host import CommandHangs, CommandMissing, Host
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.parent import first_words, short

_MARK = "nitro_enclaves: "
_EMPTY = "No CPUs available in CPU pool"
_SETUP = "Error in setup CPU pool [rc=-22]"
_MOST = 5

_MEANINGS = (
    ("No CPUs available in NE CPU pool", "run-enclave wanted more CPUs than were free: E29, E39"),
    ("CPU 0 has to remain available", "cpu_pool of allocator.yaml has CPU 0"),
    ("CPU sibling ", "cpu_pool of allocator.yaml has a sibling of CPU 0"),
    ("CPUs with different NUMA nodes", "cpu_pool of allocator.yaml spans NUMA nodes"),
    ("The CPU pool is used by enclave(s)", "the allocator was started while an enclave ran"),
    ("is not in CPU pool", "cpu_pool of allocator.yaml has half a core"),
    ("Error in cpulist parse", "cpu_pool of allocator.yaml is no list of CPUs"),
    ("Error in setup CPU pool", "the allocator's pool was refused, as the line before says"),
    ("Full CPU cores not used", "--cpu-count was odd: whole cores only, E29"),
    ("Enclave memory is less than", "--memory was below 64 MiB: E29"),
    ("Reached max memory regions", "the enclave's memory is in too many small huge pages: E29"),
    ("Error in slot alloc", "there are four enclaves already, or the hypervisor refused"),
)
"""What a line of the driver holds, and what it tells; the first that fits."""


class Meaning(enum.Enum):
    """What lines of the driver come to."""

    NOISE = enum.auto()
    NO_CPUS = enum.auto()
    OTHER = enum.auto()


@dataclass(frozen=True, slots=True)
class Said:
    """Lines of the driver that belong together."""

    meaning: Meaning
    text: str


def judge(lines: Sequence[str]) -> list[Said]:
    """What the driver said, in its order; lines of others are left out."""
    said = [line.partition(_MARK)[2].strip() for line in lines if _MARK in line]
    found, place = list[Said](), 0
    while place < len(said):
        text = said[place]
        if text == _EMPTY and said[place + 1 : place + 2] == [_SETUP]:
            found.append(Said(Meaning.NOISE, f"{_EMPTY}; {_SETUP}"))
            place += 1
        elif text == _EMPTY:
            found.append(Said(Meaning.NO_CPUS, text))
        else:
            found.append(Said(Meaning.OTHER, short(text)))
        place += 1
    return found


def _noise(host: Host) -> Iterator[Finding]:
    lines, refused = _lines(host)
    if lines is None:
        yield Finding(
            outcome=Outcome.SKIPPED, found=f"The kernel's log is not to be had: {refused}"
        )
        return
    said = judge(lines)
    counts = Counter(one.meaning for one in said)
    if counts[Meaning.NO_CPUS]:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"`{_EMPTY}` {_times(counts[Meaning.NO_CPUS])} alone: a run-enclave found no "
            "free CPU, and ended with E29 and E39",
            fix="If enclaves.running is well by now, this is past; else terminate the old enclave",
            command="nitro-cli describe-enclaves",
        )
    others = Counter(one.text for one in said if one.meaning is Meaning.OTHER)
    for text, number in others.most_common(_MOST):
        yield Finding(outcome=Outcome.NOTE, found=f"`{text}` {_times(number)}: {_meaning(text)}")
    if counts[Meaning.NOISE]:
        yield Finding(
            outcome=Outcome.NOTE,
            found=f"`{_EMPTY}` with `{_SETUP}` {_times(counts[Meaning.NOISE])}: harmless, each "
            "start of the allocator writes both, as it empties the pool first",
        )
    if not said:
        yield Finding(outcome=Outcome.OK, found="The driver has said nothing")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _meaning(text: str) -> str:
    return next((what for part, what in _MEANINGS if part in text), "its meaning is not known here")


def _lines(host: Host) -> tuple[list[str] | None, str]:
    """Of dmesg, or of the journal where that is refused; None, and why."""
    refused = ""
    for words in (("dmesg",), ("journalctl", "--no-pager", "-k")):
        try:
            ran = host.run(*words)
        except CommandMissing as error:
            refused = refused or f"there is no {error}"
            continue
        except (CommandHangs, OSError) as error:
            refused = refused or str(error)
            continue
        if ran.exit_code == 0:
            return ran.stdout.splitlines(), ""
        refused = refused or first_words(ran)
    return None, refused


CHECKS = (
    Check(
        id="kernel.noise",
        title="What the driver says in the kernel's log is known",
        why="At each of its starts the allocator empties the pool, and the driver says `No CPUs "
        "available in CPU pool` and `Error in setup CPU pool [rc=-22]`: it looks like bug 9 and is "
        "none. The first line alone is: an enclave held all CPUs",
        roles=frozenset({Role.PARENT}),
        probe=_noise,
        evidence=Evidence.INFERRED,
        source="Linux, drivers/virt/nitro_enclaves/ne_misc_dev.c; aws-nitro-enclaves-cli 1.4.4, "
        "bootstrap/nitro-enclaves-allocator",
        bug="9",
        explains=("host.driver-noise", "host.cpu-pool", "host.pool-refused"),
    ),
)
"""In the order in which to mend."""
