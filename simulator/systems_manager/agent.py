"""The agent of a simulated instance: a process that runs scripts as amazon-ssm-agent does.

It reads what to run from standard input and replies on standard output (`messages`). When its
standard input ends it kills every process that came of its scripts, and ends, so that nothing
outlives the service, however that ends.

Truth: amazon-ssm-agent (mainline of October 2024), executers.go, executers_unix.go, runscript.go,
pluginutil_unix.go, runpluginutil.go, appconfig; what it replies was compared with what these reply
when they are built and run (tests/simulator/ssm_agent_transcripts.json). Standard library only.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from simulator.interpose import kernel
from simulator.interpose.files import children
from simulator.systems_manager.messages import Reply, Result, Run
from simulator.systems_manager.output import Stream, as_text, combined

SCRIPT = "_script.sh"
_STREAMS = ("stdout", "stderr")
_READABLE = selectors.EVENT_READ
_READ = 1 << 16
BROKER_MODULE = b"simulator.machine.broker"
"""In the command line of a broker (`simulator.nitro_cli.connection`)."""
_KEEPER_MODULE = b"simulator.packages.keeper"  # Of a unit's keeper (`unit_process`).
_AT_ONCE = 5
"""How many commands run at a time (DefaultCommandWorkersLimit); the others wait."""
_MODE = 0o700
_KILLED = 137
"""128 + SIGKILL (CommandStoppedPreemptivelyExitCode). A script that ends with it by itself is
reported as timed out as well (pluginutil_unix.go, GetStatus)."""
_REBOOT = 194
"""Asks for a reboot, after which the agent runs the script once more. Not simulated."""
_REAL_TIME = 32
"""The first real-time signal."""
_SUCCEEDED_AT_ONCE, _FAILED_AT_ONCE = 168, 169
_SKIPPED = {
    _SUCCEEDED_AT_ONCE: "\nStep exited with code 168. Therefore, marking step as succeeded. "
    "Further document steps will be skipped.",
    _FAILED_AT_ONCE: "\nStep exited with code 169. Therefore, marking step as Failed. "
    "Further document steps will be skipped.",
}


class _CannotStart(Exception):
    """A script does not start; the message is the agent's."""


class _Script:
    """A script that runs. Raises _CannotStart."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.began = time.time()
        self.deadline = time.monotonic() + run.timeout_seconds
        script = _written(run)
        self._files = {name: _opened(script.with_name(name)) for name in _STREAMS}
        self.streams = {name: Stream() for name in _STREAMS}
        try:
            self.process = _started(run, script)
        except (OSError, ValueError) as error:  # A path that is none is a ValueError.
            number = error.errno if isinstance(error, OSError) else None
            self._close_files()
            # Go names the shell, whatever is missing.
            raise _CannotStart(
                "failed to run commands: fork/exec /usr/bin/sh: "
                + os.strerror(number or errno.EINVAL).lower()
            ) from error
        self.open: dict[str, IO[bytes]] = {}
        for name, pipe in (("stdout", self.process.stdout), ("stderr", self.process.stderr)):
            if pipe is not None:
                self.open[name] = pipe

    def read(self, name: str) -> bool:
        """Take what has come; whether that was the end of the stream."""
        part = os.read(self.open[name].fileno(), _READ)
        self.streams[name] = self.streams[name].plus(_kept(self._files[name], part))
        return not part

    def kill(self) -> None:
        """Kill its process group: what it started in the background too."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        for pipe in self.open.values():
            pipe.close()
        self._close_files()

    def _close_files(self) -> None:
        for file in self._files.values():
            if file is not None:
                file.close()


def _written(run: Run) -> Path:
    """The script as a file. Raises _CannotStart (runscript.go, runCommands)."""
    folder = Path(run.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _CannotStart(f"failed to create orchestrationDir directory, {folder}") from error
    script = folder / SCRIPT
    # Surrogates are letters of the request that are no text: they stay what they were.
    text = "\n".join(run.commands) + "\n"
    try:
        script.write_bytes(text.encode(errors="surrogatepass"))
        script.chmod(_MODE)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _CannotStart(f"failed to create script file. write {script}: {reason}") from error
    return script


def _opened(path: Path) -> IO[bytes] | None:
    """For what a script prints; where that cannot be kept, it runs all the same."""
    try:
        return path.open("ab", buffering=0)
    except OSError:
        return None


def _kept(file: IO[bytes] | None, part: bytes) -> bytes:
    """As much as the disk takes, which is what is reported.

    The agent logs that it cannot write and goes on; what it reports it reads from its file at the
    end (iomodule, commandoutput.go).
    """
    kept = 0
    with suppress(OSError):
        while file is not None and kept < len(part):
            kept += file.write(part[kept:])
    return part[:kept]


def _started(run: Run, script: Path) -> subprocess.Popen[bytes]:
    # `sh` of Amazon Linux is bash, and by that name it is one of POSIX. It runs a script that has
    # no `#!` itself.
    shell = shutil.which("bash") or "/bin/sh"
    return subprocess.Popen(  # noqa: S603  # It is what this program is for.
        ["sh", "-c", str(script)],  # noqa: S607  # That is its argv[0].
        executable=shell,
        cwd=run.working_directory,
        env=dict(run.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    )


class Agent:
    """What it does from its start to its end."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._scripts: dict[str, _Script] = {}
        self._delayed: list[tuple[float, Run]] = []
        """What comes later, with the moment."""
        self._waiting: list[Run] = []
        self._received = b""

    def serve(self) -> None:
        """Run what comes until there is no more to come."""
        # Whoever started this process may hold signals back; scripts have them all.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if sys.platform == "linux":
            kernel.adopt_orphans()
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._selector.register(ours, _READABLE)
        self._selector.register(0, _READABLE)
        try:
            while self._step(ours):
                pass
        finally:
            self._end()

    def _step(self, wakeup: socket.socket) -> bool:
        """Wait for the next thing to do; whether there is more to come."""
        goes_on, some_ended = True, False
        for key, _ in self._selector.select(self._patience()):
            if key.fileobj is wakeup:
                some_ended = bool(wakeup.recv(_READ))
            elif key.data is None:
                goes_on = self._receive()
            else:
                self._read(*key.data)
        now = time.monotonic()
        for script in list(self._scripts.values()):
            self._look_after(script, now)
        for run in (run for moment, run in self._delayed if moment <= now):
            self._waiting.append(run)
            _reply(Reply(command_id=run.command_id, result=Result.IN_PROGRESS))
        self._delayed = [(moment, run) for moment, run in self._delayed if moment > now]
        while self._waiting and len(self._scripts) < _AT_ONCE:
            self._start(self._waiting.pop(0))
        if some_ended:
            self._reap()
        return goes_on

    def _patience(self) -> float | None:
        moments = [script.deadline for script in self._scripts.values()]
        moments += [moment for moment, _ in self._delayed]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _receive(self) -> bool:
        part = os.read(0, _READ)
        *lines, self._received = (self._received + part).split(b"\n")
        for line in lines:
            members = json.loads(line)
            if "run" in members:
                run = Run.of(members)
                self._delayed.append((time.monotonic() + run.delay_seconds, run))
            else:
                self._cancel(members["cancel"])
        return bool(part)

    def _start(self, run: Run) -> None:
        began = time.time()
        try:
            script = _Script(run)
        except _CannotStart as error:
            _reply(_not_started(run, str(error), began))
            return
        self._scripts[run.command_id] = script
        for name, pipe in script.open.items():
            self._selector.register(pipe, _READABLE, (script, name))

    def _read(self, script: _Script, name: str) -> None:
        if name in script.open and script.read(name):
            pipe = script.open.pop(name)
            self._selector.unregister(pipe)
            pipe.close()

    def _look_after(self, script: _Script, now: float) -> None:
        """End it if it has ended, which it has not while a process holds its output."""
        if script.process.poll() is not None and not script.open:
            self._forget(script)
            if script.run.times > 1:
                self._start(replace(script.run, times=script.run.times - 1))
            else:
                _reply(_ended(script, script.process.returncode))
        elif now >= script.deadline:
            self._stop(script, Result.TIMED_OUT)

    def _cancel(self, command_id: str) -> None:
        coming = [*self._waiting, *(run for _, run in self._delayed)]
        self._waiting = [run for run in self._waiting if run.command_id != command_id]
        self._delayed = [pair for pair in self._delayed if pair[1].command_id != command_id]
        if command_id in self._scripts:
            self._stop(self._scripts[command_id], Result.CANCELLED)
        elif any(run.command_id == command_id for run in coming):
            _reply(_not_begun(command_id))

    def _stop(self, script: _Script, result: Result) -> None:
        script.kill()
        self._forget(script)
        _reply(_report(script, result, _KILLED))

    def _forget(self, script: _Script) -> None:
        for pipe in script.open.values():
            self._selector.unregister(pipe)
        script.close()
        script.open.clear()  # What of it has come in this very step is not read any more.
        del self._scripts[script.run.command_id]

    def _reap(self) -> None:
        """Let go of what scripts left in the background and has ended."""
        if sys.platform != "linux":
            return
        ours = {script.process.pid for script in self._scripts.values()}
        for process in children(os.getpid()):
            if process not in ours:
                with suppress(ChildProcessError):
                    os.waitpid(process, os.WNOHANG)

    def _end(self) -> None:
        for script in list(self._scripts.values()):
            script.kill()
        if sys.platform == "linux":
            _end_descendants()


def _end_descendants() -> None:
    """Kill what came of scripts, but for what is the machine's: its broker and its units' keepers.

    `nitro-cli` starts the one, and enclaves live in it; `systemctl` the others. On an instance they
    are nobody's children but the kernel's and systemd's, and outlive the agent.
    """
    while living := [process for process in children(os.getpid()) if not _is_machines(process)]:
        for process in living:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for process in living:
            with suppress(ChildProcessError):
                os.waitpid(process, 0)


def _is_machines(process: int) -> bool:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
    return BROKER_MODULE in words or _KEEPER_MODULE in words


def _reply(reply: Reply) -> None:
    sys.stdout.write(reply.line())
    sys.stdout.flush()


def _ended(script: _Script, status: int) -> Reply:
    """The reply for a script that has ended by itself."""
    # Go's ExitStatus of a process that a signal has ended.
    code = -1 if status < 0 else status
    if code == 0:
        return _report(script, Result.SUCCESS, 0)
    if code == _KILLED:
        return _report(script, Result.TIMED_OUT, code)
    reason = f"exit status {code}" if status > 0 else f"signal: {_signal_name(-status)}"
    if code == _REBOOT:
        reason += " [attested-kms: 194 asks for a reboot, which is not simulated]"
    stderr = script.streams["stderr"].plus(f"failed to run commands: {reason}".encode())
    script.streams["stderr"] = Stream() if code == _SUCCEEDED_AT_ONCE else stderr
    result = Result.SUCCESS if code == _SUCCEEDED_AT_ONCE else Result.FAILED
    return _report(script, result, code)


def _report(script: _Script, result: Result, code: int) -> Reply:
    stdout, stderr = script.streams["stdout"], script.streams["stderr"]
    output = combined(stdout, stderr)
    if code in _SKIPPED:
        more = _SKIPPED[code].encode()
        stdout = stdout.plus(more)
        stderr = stderr.plus(more) if code == _FAILED_AT_ONCE else stderr
    return Reply(
        command_id=script.run.command_id,
        result=result,
        code=code,
        output=as_text(output),
        stdout=as_text(stdout.cut()),
        stderr=as_text(stderr.cut()),
        began=script.began,
        ended=time.time(),
    )


def _not_started(run: Run, why: str, began: float) -> Reply:
    """The reply where the shell did not start."""
    text = Stream().plus(why.encode())
    return Reply(
        command_id=run.command_id,
        result=Result.FAILED,
        code=1,
        output=as_text(combined(Stream(), text)),
        stderr=as_text(text.cut()),
        began=began,
        ended=time.time(),
    )


def _not_begun(command_id: str) -> Reply:
    """The reply for a command that was cancelled before it ran (iohandler.go, MarkAsCancelled)."""
    now = time.time()
    return Reply(command_id=command_id, result=Result.CANCELLED, code=1, began=now, ended=now)


def _signal_name(number: int) -> str:
    """As Go calls a signal: as libc does but for the first letter, and those of real time."""
    name = signal.strsignal(number)
    if name is None or number >= _REAL_TIME:
        return f"signal {number}"
    return name if name[1:2].isupper() or "/" in name[:2] else name[0].lower() + name[1:]


def main() -> None:
    """Be the agent."""
    with suppress(BrokenPipeError):  # Whoever listened has gone; so has standard input's end.
        Agent().serve()
