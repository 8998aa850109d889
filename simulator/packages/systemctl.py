"""The command `systemctl`, for the units of the packages: `inferred`, of systemd 252.

To start the allocator is to run it, on the machine; its lines are in the journal, not on the
screen, as those of a service. The vsock-proxy's process runs until it is stopped. Of docker only
the state is kept: no process runs for it, and a start says so on a terminal. A verb that is not
here, and a unit of another package, end as with a real systemctl that does not know the unit, or
with 70.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from simulator.nitro_cli.connection import SUPERVISED_VARIABLE, request
from simulator.nitro_cli.main import NO_MACHINE
from simulator.packages import contents, services, unit_process
from simulator.packages.contents import unit_file
from simulator.packages.installed import changing
from simulator.packages.machine import Machine, command, complain, notice, say
from simulator.packages.services import ALLOCATOR, PROXY, Outcome, Unit
from simulator.packages.unit_process import State
from simulator.vsock_proxy.names import HOSTS

_IGNORED = frozenset(
    [
        "--no-pager",
        "--full",
        "-l",
        "--no-block",
        "--system",
        "--all",
        "-a",
        "--force",
        "-f",
        "--no-ask-password",
    ]
)
_QUIET = frozenset({"-q", "--quiet"})
_FOR_ALL = frozenset({"daemon-reload", "reset-failed"})
_NOT_FOUND = 5
_NO_SUCH_STATUS = 4
_NOT_RUNNING = 3
_SHOWN_LINES = 10
_LAST_LINES = 12
"""Of the journal, of a start that has failed."""
_NO_NAME = "DNS lookup failed!"
_NOT_THERE = {
    "start": "Failed to start {unit}: Unit {unit} not found.",
    "restart": "Failed to restart {unit}: Unit {unit} not found.",
    "stop": "Failed to stop {unit}: Unit {unit} not loaded.",
    "reset-failed": "Failed to reset failed state of unit {unit}: Unit {unit} not loaded.",
}


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    return command("systemctl", lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    words = [word for word in arguments if not word.startswith("-")]
    options = {word for word in arguments if word.startswith("-")}
    unknown = sorted(options - _IGNORED - _QUIET - {"--now"})
    if unknown:
        complain(f"systemctl (attested-kms): the option {unknown[0]} is not simulated")
        return NO_MACHINE
    verb, units = (words[0], words[1:]) if words else ("", [])
    if verb in _FOR_ALL and not units:
        return 0
    run = _VERBS.get(verb)
    if run is None:
        complain(
            f"systemctl (attested-kms): {verb or 'no verb'} is not simulated; those that are: "
            f"{', '.join(sorted(_VERBS))}, daemon-reload"
        )
        return NO_MACHINE
    if not units:
        complain("Too few arguments.")
        return 1
    machine = Machine.find(os.environ)
    is_quiet = bool(options & _QUIET)
    with changing(machine.path):
        return run(
            _Call(machine, verb, [services.full_name(unit) for unit in units], options, is_quiet)
        )


class _Call:
    """One verb for some units."""

    def __init__(
        self, machine: Machine, verb: str, units: list[str], options: set[str], is_quiet: bool
    ) -> None:
        self.machine = machine
        self.verb = verb
        self.units = units
        self.has_now = "--now" in options
        self.is_quiet = is_quiet

    def unit(self, name: str) -> Unit | None:
        """The unit, if it is installed."""
        return services.installed_unit(self.machine.path, name)

    def state(self, name: str) -> str:
        """active, activating, failed or inactive."""
        outcome = services.current(self.machine.path, name)
        return "inactive" if outcome is None or self.unit(name) is None else outcome.state

    def say(self, text: str) -> None:
        if not self.is_quiet:
            say(text)

    def complain(self, text: str) -> None:
        if not self.is_quiet:
            complain(text)


def _start(call: _Call) -> int:
    return _each(call, lambda unit: _start_unit(call.machine, unit))


def _restart(call: _Call) -> int:
    return _each(call, lambda unit: _start_unit(call.machine, unit, again=True))


def _stop(call: _Call) -> int:
    return _each(call, lambda unit: _stop_unit(call.machine, unit))


def _reset_failed(call: _Call) -> int:
    def reset(unit: Unit) -> int:
        if call.state(unit.name) == "failed":
            _forget(call.machine, unit)
        return 0

    return _each(call, reset)


def _each(call: _Call, do: Callable[[Unit], int]) -> int:
    """Of all units; those that are there are done though another is not."""
    exit_code = 0
    for name in call.units:
        unit = call.unit(name)
        if unit is None:
            complain(_NOT_THERE[call.verb].format(unit=name))
            exit_code = _NOT_FOUND
        else:
            exit_code = do(unit) or exit_code
    return exit_code


def _start_unit(machine: Machine, unit: Unit, *, again: bool = False) -> int:
    outcome = services.current(machine.path, unit.name)
    if outcome is not None and outcome.state in ("active", "activating") and not again:
        return 0  # Also the allocator: what has been edited since is not read.
    if unit is PROXY:
        return _start_proxy(machine)
    exit_code = 0
    services.note(machine.path, "systemd", [f"Starting {unit.name} - {unit.description}..."])
    if unit is ALLOCATOR:
        exit_code, lines = _allocate(machine)
        services.note(machine.path, unit.identifier, lines)
    else:
        notice(f"{unit.name} counts as started; no process runs for it")
    if exit_code:
        lines = [
            f"{unit.name}: Main process exited, code=exited, status={exit_code}/FAILURE",
            f"{unit.name}: Failed with result 'exit-code'.",
            f"Failed to start {unit.name} - {unit.description}.",
        ]
    else:
        word = "Finished" if unit.is_oneshot else "Started"
        lines = [f"{word} {unit.name} - {unit.description}."]
    services.note(machine.path, "systemd", lines)
    state = "failed" if exit_code else "active"
    services.record(machine.path, unit.name, Outcome(state, time.time(), exit_code))
    if not exit_code:
        return 0
    complain(
        f"Job for {unit.name} failed because the control process exited with error code.\n"
        f'See "systemctl status {unit.name}" and "journalctl -xeu {unit.name}" for details.'
    )
    return 1


def _start_proxy(machine: Machine) -> int:
    """Type=simple: a start has succeeded once there is a process, whatever becomes of it."""
    if os.environ.get(SUPERVISED_VARIABLE):
        complain(
            f"systemctl (attested-kms): {PROXY.name} cannot be started from here: this program runs"
            " under attested-kms run, and a process that it started would end with it. Start the "
            "service first, outside."
        )
        return NO_MACHINE
    unit_process.stop(machine.path, PROXY.name)
    kept = unit_process.start(
        machine.path,
        PROXY.name,
        lambda: notice(
            f"{PROXY.name} does not listen yet: it looks names up, and is started again where it "
            "fails, five times in all"
        ),
    )
    if kept is None:
        complain(
            f"systemctl (attested-kms): {PROXY.name} cannot be started; the end of "
            f"{machine.path / services.JOURNAL} may say why"
        )
        return NO_MACHINE
    if kept.state is not State.ACTIVE:
        said = services.journal(machine.path, [PROXY.name])
        if any(_NO_NAME in line for line in said[-_LAST_LINES:]):
            complain(
                f"systemctl (attested-kms): {PROXY.name} has failed, for this system knows no "
                "address of the KMS that it is to reach. Give it one in "
                f"{contents.at(machine.root, HOSTS)}, of a server of yours on port 443, say: "
                f"127.0.0.1 kms.{machine.region}.amazonaws.com"
            )
        else:
            notice(f"{PROXY.name} has failed; journalctl -u {PROXY.name} says why")
    return 0


def _allocate(machine: Machine) -> tuple[int, list[str]]:
    for message in request(machine.folder, "allocate"):
        match message:
            case {"answer": {"lines": lines, "errors": errors, "exit_code": int(exit_code)}}:
                return exit_code, [*errors, *lines]
            case {"warning": str(text)}:
                complain(f"attested-kms: {text}")
    return 1, []


def _stop_unit(machine: Machine, unit: Unit) -> int:
    """The allocator's unit has nothing to stop: what it reserved stays reserved."""
    if _forget(machine, unit):
        services.note(machine.path, "systemd", [f"Stopped {unit.name} - {unit.description}."])
    return 0


def _forget(machine: Machine, unit: Unit) -> bool:
    """It is stopped, and has not failed; whether it was otherwise."""
    if unit is PROXY:
        return unit_process.stop(machine.path, unit.name)
    is_known = unit.name in services.outcomes(machine.path)
    if is_known:
        services.record(machine.path, unit.name, None)
    return is_known


def _enable(call: _Call) -> int:
    return _link(call, services.enable, "Created symlink {link} → {file}.")


def _disable(call: _Call) -> int:
    return _link(call, services.disable, 'Removed "{link}".')


def _link(call: _Call, change: Callable[..., bool], words: str) -> int:
    # All or none: a name that is not there changes nothing, and --now starts nothing.
    for name in call.units:
        if call.unit(name) is None:
            complain(f"Failed to {call.verb} unit: Unit file {name} does not exist.")
            return 1
    path, root = call.machine.path, call.machine.root
    for name in call.units:
        if change(path, name):
            link = f"/{services.link(path, name).relative_to(root)}"
            call.complain(words.format(link=link, file=unit_file(name)))
    if not call.has_now:
        return 0
    do = _start_unit if call.verb == "enable" else _stop_unit
    return _each(call, lambda unit: do(call.machine, unit))


def _is_active(call: _Call) -> int:
    states = [call.state(name) for name in call.units]
    for state in states:
        call.say(state)
    return 0 if "active" in states else _NOT_RUNNING


def _is_failed(call: _Call) -> int:
    states = [call.state(name) for name in call.units]
    for state in states:
        call.say(state)
    return 0 if "failed" in states else 1


def _is_enabled(call: _Call) -> int:
    exit_code = 1
    for name in call.units:
        if call.unit(name) is None:
            call.complain(f"Failed to get unit file state for {name}: No such file or directory")
            return 1
        is_enabled = services.is_enabled(call.machine.path, name)
        call.say("enabled" if is_enabled else "disabled")
        exit_code = 0 if is_enabled else exit_code
    return exit_code


def _status(call: _Call) -> int:
    exit_code = 0
    for name in call.units:
        unit = call.unit(name)
        if unit is None:
            complain(f"Unit {name} could not be found.")
            exit_code = _NO_SUCH_STATUS
            continue
        for line in _status_lines(call.machine, unit):
            say(line)
        if call.state(name) != "active":
            exit_code = exit_code or _NOT_RUNNING
    return exit_code


def _status_lines(machine: Machine, unit: Unit) -> list[str]:
    outcome = services.current(machine.path, unit.name)
    enabled = "enabled" if services.is_enabled(machine.path, unit.name) else "disabled"
    sign, active = "○", "inactive (dead)"
    if outcome is not None:
        moment = time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(outcome.since))
        if outcome.state == "failed":
            sign = "×"  # noqa: RUF001  # As systemctl draws it.
            active = f"failed (Result: exit-code) since {moment}"
        elif outcome.state == "activating":
            sign, active = "●", f"activating (auto-restart) since {moment}"
        else:
            how = "exited" if unit.is_oneshot else "running"
            sign, active = "●", f"active ({how}) since {moment}"
    lines = [
        f"{sign} {unit.name} - {unit.description}",
        f"     Loaded: loaded ({unit_file(unit.name)}; {enabled}; preset: disabled)",
        f"     Active: {active}",
    ]
    if outcome is not None and unit.is_oneshot:
        code = f"{outcome.exit_code}/{'FAILURE' if outcome.exit_code else 'SUCCESS'}"
        lines.append(f"    Process: ExecStart={unit.program} (code=exited, status={code})")
    if outcome is not None and outcome.main_process:
        lines.append(f"   Main PID: {outcome.main_process} ({unit.identifier})")
    said = services.journal(machine.path, [unit.name])[-_SHOWN_LINES:]
    return [*lines, "", *said] if said else lines


_VERBS: dict[str, Callable[[_Call], int]] = {
    "start": _start,
    "restart": _restart,
    "stop": _stop,
    "enable": _enable,
    "disable": _disable,
    "is-active": _is_active,
    "is-enabled": _is_enabled,
    "is-failed": _is_failed,
    "status": _status,
    "reset-failed": _reset_failed,
}
