"""What of an image would run in an enclave, how it would end, and what everybody would see of it.

The same report can be made before a boot (by `attested-kms lint`, from an image) and after one
(from how the program ended), so that they can be compared.

Source: init.c of aws-nitro-enclaves-sdk-bootstrap and docker.rs of aws-nitro-enclaves-cli 1.4.4,
read (inferred); that an enclave so dies in silence is reported (issues 273, 405 and 433 of the
latter). The kernel puts a time before its lines, which is left out here.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LOOKUP = ("/sbin", "/usr/sbin", "/bin", "/usr/bin")
"""Where init looks for a program that is named without a path, whatever PATH the image sets."""
DEFAULT_COMMAND = ("sh",)
"""What init runs where the list of arguments is empty."""
REBOOT = ("reboot: Restarting system", "reboot: machine restart")
FAILED = "child exited with error"
KILLED = "child exited by signal"
_PANIC = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x{:08x}"


class Outcome(enum.Enum):
    """How a boot ends. The value is what the JSON says."""

    NOT_BUILT = "not built"
    """nitro-cli build-enclave refuses the image."""
    INIT_DIES = "init dies"
    """The enclave's own init cannot go on; the kernel panics."""
    NOT_STARTED = "not started"
    """execvpe fails."""
    FAILED = "failed"
    """The program ends with another status than 0."""
    KILLED = "killed"
    """The program ends by a signal."""
    ENDED = "ended"
    """The program ends with status 0."""
    RUNS = "runs"
    """Nothing is known to stop it."""


@dataclass(frozen=True, slots=True)
class BootReport:
    """One boot."""

    outcome: Outcome
    argv: tuple[str, ...] = ()
    """What init gives to execvpe; empty where it never comes to that."""
    console: tuple[str, ...] = ()
    """What init and the kernel write to the console, and in angle brackets what the program does.
    """
    dropped: tuple[str, ...] = ()
    """What of the image does not count, in words, with its line where there is one."""
    may: bool = False
    """Whether it is only one way in which it may end."""

    @property
    def is_dead(self) -> bool:
        """Whether no enclave is left."""
        return self.outcome is not Outcome.RUNS

    def seen(self) -> Iterator[tuple[str, str]]:
        """What each of nitro-cli's commands shows, the command first."""
        if self.outcome is Outcome.NOT_BUILT:
            yield "build-enclave", "E48, exit code 48; UnsupportedEntryPoint"
            return
        yield "run-enclave", "its JSON, exit code 0: it waits for init, not for the program"
        if self.is_dead:
            yield "describe-enclaves", "[]"
            yield "console", "the lines above, then E45, exit code 45"


def arguments(command: Sequence[str]) -> tuple[str, ...]:
    """What init makes of a command: one line is one argument."""
    lines = "".join(f"{word}\n" for word in command).split("\n")[:-1]
    return tuple(lines) or DEFAULT_COMMAND


def not_built(dropped: Sequence[str] = ()) -> BootReport:
    """Of an image without a command."""
    return BootReport(Outcome.NOT_BUILT, dropped=tuple(dropped))


def not_started(
    argv: Sequence[str], error: int, *, dropped: Sequence[str] = (), may: bool = False
) -> BootReport:
    """Of a command for which execvpe gives the errno `error`."""
    return BootReport(
        Outcome.NOT_STARTED,
        tuple(argv),
        (f"execvpe: {argv[0]}: {os.strerror(error)}", FAILED, *REBOOT),
        tuple(dropped),
        may,
    )


def ended(
    argv: Sequence[str],
    status: int,
    *,
    says: Sequence[str] = (),
    dropped: Sequence[str] = (),
    may: bool = False,
) -> BootReport:
    """Of a program that ends with this exit status, or by a signal if it is negative.

    `says` is what it writes itself.
    """
    outcome = Outcome.ENDED if status == 0 else Outcome.FAILED if status > 0 else Outcome.KILLED
    last = {Outcome.FAILED: (FAILED,), Outcome.KILLED: (KILLED,)}.get(outcome, ())
    return BootReport(outcome, tuple(argv), (*says, *last, *REBOOT), tuple(dropped), may)


def init_dies(line: str, status: int) -> BootReport:
    """Of an init that says `line` and ends: PID 1 may not, so that the kernel panics.

    `status` is that of wait(2). The command line of nitro-cli's kernels has panic=30: it reboots
    after 30 seconds.
    """
    return BootReport(Outcome.INIT_DIES, console=(line, _PANIC.format(status)))


def runs(
    argv: Sequence[str], *, dropped: Sequence[str] = (), says: Sequence[str] = ()
) -> BootReport:
    """Of a program that nothing is known to stop."""
    return BootReport(Outcome.RUNS, tuple(argv), tuple(says), tuple(dropped))
