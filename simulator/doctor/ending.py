"""One command, run so that it cannot hold doctor up: a group of its own, no input, bounded output.

It changes nothing of this machine but what the command itself does. Not a shell: words are passed
as they are.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from simulator.doctor.host import MOST_BYTES, CommandHangs, Ran

_CHUNK = 1 << 16
_GLANCE_SECONDS = 0.1
_KILL_SECONDS = 1.0


def run(program: str, words: Sequence[str], environ: Mapping[str, str], seconds: float) -> Ran:
    """Run the program file `program` as `words`; its output is read to its end, and no further.

    A process that it leaves behind may keep the output open: nobody waits for that. Raises
    CommandHangs once its whole group is killed, and OSError where it cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603  # Words of a check, no shell.
        list(words),
        executable=program,
        env={**environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        outputs = _outputs(process, time.monotonic() + seconds)
    finally:
        _close(process)
    if outputs is None:
        _shown = " ".join(words)
        raise CommandHangs(f"`{_shown}` did not end within {seconds:g} seconds, and was killed")
    stdout, stderr = (output.decode(errors="replace") for output in outputs)
    return Ran(process.returncode, stdout, stderr)


def _outputs(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes] | None:
    """Both outputs once it has ended; None if it has not by the deadline (of `time.monotonic`)."""
    pipes = [pipe.fileno() for pipe in (process.stdout, process.stderr) if pipe is not None]
    read = {pipe: bytearray() for pipe in pipes}
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            os.set_blocking(pipe, False)
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            # In this order: what it wrote before it ended can be read after.
            has_ended = process.poll() is not None
            left = deadline - time.monotonic()
            ready = selector.select(0 if has_ended else max(0.0, min(left, _GLANCE_SECONDS)))
            if (has_ended and not ready) or left <= 0:
                break
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fd)
                read[key.fd] += chunk[: MOST_BYTES - len(read[key.fd])]
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None
    stdout, stderr = (bytes(read[pipe]) for pipe in pipes)
    return stdout, stderr


def _close(process: subprocess.Popen[bytes]) -> None:
    """Let go of it; kill its whole group if it runs."""
    if process.poll() is None:
        # One that has become another user's cannot be killed, and not be waited for either.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_SECONDS)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
