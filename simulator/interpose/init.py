"""What process 1 of an enclave does, step by step after init.c.

Source: aws-nitro-enclaves-sdk-bootstrap, init/init.c, and the C library that nitro-cli's `init` is
linked with (glibc: execvpe(3) runs what has no known format by /bin/sh). Read, not seen: inferred.

The program's environment is what /env says, line by line, and nothing else; PATH for finding it is
init's. Image settings such as USER and WORKDIR are not in the ramdisk and have no effect.

What stands in for the kernel is said in its words, with the time since the boot. After a panic an
enclave's kernel waits for 30 seconds before it reboots (`panic=30` of its command line); this one
ends at once. When init is killed by a null pointer, as where /env or /cmd is missing, the kernel's
own line on that is left out.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from simulator.interpose import kernel
from simulator.interpose.places import HEARTBEAT, HEARTBEAT_BYTE
from simulator.interpose.roots import Mounts, give_up_the_machine

_SEARCHED = (b"/sbin", b"/usr/sbin", b"/bin", b"/usr/bin")
"""DEFAULT_PATH_ENV: where a command without a slash is looked for."""
_DEFAULT_ENVIRONMENT = (b"PATH=" + b":".join(_SEARCHED),)
_DEFAULT_COMMAND = (b"sh",)
_SHELL = b"/bin/sh"
_LONGEST_NAME = 255
_LOOKED_FURTHER = (errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.ENODEV, errno.ETIMEDOUT)
"""What execvpe(3) takes for a folder that does not have the program."""
_STALE_ERRNO = -errno.EINVAL
"""What init.c sets errno to before it speaks to the parent."""
_NO_INIT = int(signal.SIGKILL)
_NO_ROOT = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"
"""What the kernel does where the ramdisks hold no /init (init/main.c, init/do_mounts.c)."""
_LARGEST_FILE = 16 << 20
"""More than execve(2) takes of arguments and environment, so that more would change nothing."""
_DESCRIPTORS = 1024, 4096
"""INR_OPEN_CUR and INR_OPEN_MAX, what process 1 has (`uapi/linux/fs.h`)."""


class _Died(Exception):
    """Init has ended, which the kernel does not survive; `status` is how."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def boot(mounts: Mounts | None) -> int:
    """Boot what `/` holds, until the enclave is gone: the wait status of its program, or init's.

    Without `mounts` there are no namespaces, and nothing is mounted.
    """
    started = time.monotonic()
    _prepare_process()
    if not os.access("/init", os.X_OK):
        _kernel_says(started, _NO_ROOT)
        return _NO_INIT
    try:
        _send_heartbeat()
        environment, command = _read_configuration()
        _enter_rootfs(mounts is not None)
        if mounts is not None:
            _mount_all(mounts)
        give_up_the_machine(in_namespaces=mounts is not None)
        status = _reap_until(_launch(command or _DEFAULT_COMMAND, environment))
    except _Died as died:
        _kernel_says(
            started,
            f"Kernel panic - not syncing: Attempted to kill init! exitcode=0x{died.status:08x}",
        )
        return died.status
    _kernel_says(started, "reboot: Restarting system", "reboot: machine restart")
    return status


def _prepare_process() -> None:
    """What process 1 has, whatever whoever started this one has."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    os.umask(0o022)
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            with suppress(OSError):  # Those of the C library.
                signal.signal(number, signal.SIG_DFL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (min(most, wanted) for wanted in _DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _say(line: str) -> None:
    with suppress(OSError):  # Nobody reads it any more.
        os.write(2, os.fsencode(line) + b"\n")


def _kernel_says(started: float, *lines: str) -> None:
    for line in lines:
        seconds = time.monotonic() - started
        _say(f"[{int(seconds):5d}.{int(seconds % 1 * 1_000_000):06d}] {line}")


def _die(what: str, number: int) -> NoReturn:
    """Say why, and end with errno as the exit code."""
    _say(f"{what}: {os.strerror(number)}")
    raise _Died((number & 0xFF) << 8)


@contextmanager
def _fatal(what: str) -> Iterator[None]:
    """What fails within ends init."""
    try:
        yield
    except OSError as error:
        _die(what, error.errno or errno.EIO)


def _send_heartbeat() -> None:
    with _fatal("socket"):
        parent = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    with parent:
        with _fatal("connect"):
            parent.connect(HEARTBEAT)
        with _fatal("write heartbeat"):
            parent.send(HEARTBEAT_BYTE)
        with _fatal("read heartbeat"):
            answer = parent.recv(1)
    if not answer:
        _die("read heartbeat", _STALE_ERRNO)
    if answer != HEARTBEAT_BYTE:
        _die("received wrong heartbeat", _STALE_ERRNO)


def _read_configuration() -> tuple[Sequence[bytes], Sequence[bytes]]:
    """The environment and the command; the files are gone then."""
    read = [_read_lines(path) for path in ("/env", "/cmd")]
    environment, command = read
    if environment is None or command is None:
        raise _Died(signal.SIGSEGV)  # It closes what it has not opened.
    for path in ("/env", "/cmd"):
        with suppress(OSError):
            os.unlink(path)
    return environment or _DEFAULT_ENVIRONMENT, command


def _read_lines(path: str) -> list[bytes] | None:
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_FILE)
    except OSError as error:
        _say(f"Could not open /env file: {error.strerror}")  # Also where it is /cmd.
        return None
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    return [line.partition(b"\0")[0] for line in lines]


def _enter_rootfs(in_namespaces: bool) -> None:
    if in_namespaces:
        with _fatal("mount --bind /rootfs /rootfs"):
            kernel.mount("/rootfs", "/rootfs", "", kernel.MS_BIND)
    with _fatal("chdir /rootfs"):
        os.chdir("/rootfs")
    if in_namespaces:
        with _fatal("mount --move . /"):
            kernel.mount(".", "/", "", kernel.MS_MOVE)
    with _fatal("chroot ."):
        os.chroot(".")
    with _fatal("chdir /"):
        os.chdir("/")


def _mount_all(mounts: Mounts) -> None:
    for path in mounts.paths:
        with _fatal(f"mount: {path}"):
            mounts.put(path)


def _launch(command: Sequence[bytes], environment: Sequence[bytes]) -> int:
    with _fatal("fork"):
        program = os.fork()
    if program:
        return program
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        _execute(command, environment)
    except OSError as error:
        _say(f"execvpe: {os.fsdecode(command[0])}: {error.strerror}")
        os._exit((error.errno or errno.EIO) & 0xFF)


def _execute(command: Sequence[bytes], environment: Sequence[bytes]) -> NoReturn:
    """execvpe(3) of glibc. Raises OSError."""
    name = command[0]
    if b"/" in name:
        _execute_file(name, command, environment)
    if not name:
        raise _error(errno.ENOENT)
    if len(name) > _LONGEST_NAME:
        raise _error(errno.ENAMETOOLONG)
    failed = errno.ENOENT
    for folder in _SEARCHED:
        try:
            _execute_file(folder + b"/" + name, command, environment)
        except OSError as error:
            if error.errno == errno.EACCES:
                failed = errno.EACCES  # If it is found nowhere else.
            elif error.errno not in _LOOKED_FURTHER:
                raise
    raise _error(failed)


def _execute_file(path: bytes, command: Sequence[bytes], environment: Sequence[bytes]) -> NoReturn:
    try:
        kernel.execute(path, command, environment)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise _error(error.errno or errno.EIO) from None
    try:
        kernel.execute(_SHELL, (_SHELL, path, *command[1:]), environment)
    except OSError as error:
        raise _error(error.errno or errno.EIO) from None


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _reap_until(program: int) -> int:
    """Wait for whoever ends until the program does; returns its wait status."""
    while True:
        process, status = os.wait()
        if process == program:
            break
    if os.WIFSIGNALED(status):
        _say("child exited by signal")
    elif os.waitstatus_to_exitcode(status):
        _say("child exited with error")
    return status
