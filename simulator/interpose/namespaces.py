"""Namespaces of an enclave's own: processes, mounts, network, and users where that takes no root.

user_namespaces(7), pid_namespaces(7), network_namespaces(7), mount_namespaces(7).
"""

from __future__ import annotations

import os
from pathlib import Path

from simulator.interpose import kernel

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
"""Devices of this machine that an enclave has too."""
_STAND_INS = ("nsm", "vsock")
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


def enter(*, own_name: bool = False) -> None:
    """Leave the machine's namespaces; the process's children are in the new ones. Raises OSError.

    Without privileges it takes a user namespace, in which the user is root, as in an enclave.
    With `own_name` the machine's name and its IPC objects stay behind too.
    """
    flags = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET
    if own_name:
        flags |= kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        kernel.unshare(flags)
        return
    kernel.unshare(flags | kernel.CLONE_NEWUSER)
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        Path("/proc/self", name).write_text(content, encoding="ascii")


def keep_mounts_private() -> None:
    """As process 1 within: what is mounted from now on is not seen outside. Raises OSError."""
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)


def prepare(scratch: str, overlays: dict[str, str]) -> None:
    """As process 1 within: mount `/proc` and `/dev`, and files over files. Raises OSError."""
    keep_mounts_private()
    for target, source in overlays.items():
        kernel.mount(source, target, "", kernel.MS_BIND)
    _mount_devices(scratch)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def _mount_devices(scratch: str) -> None:
    """A `/dev` that has what an enclave's has: our stand-ins are the null device.

    So they are character devices that anybody may open, to stat(2) and access(2) too.
    """
    kernel.mount("tmpfs", scratch, "tmpfs", kernel.MS_NOSUID, "mode=755")
    new = Path(scratch)
    _fill(new)
    (new / "pts").mkdir()
    if Path("/dev/pts").is_dir():
        kernel.mount("/dev/pts", str(new / "pts"), "", kernel.MS_BIND | kernel.MS_REC)
    (new / "shm").mkdir()
    kernel.mount("tmpfs", str(new / "shm"), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV)
    kernel.mount(scratch, "/dev", "", kernel.MS_BIND | kernel.MS_REC)
    kernel.detach(scratch)


def fill_devices(new: Path, *, console: str | None) -> None:
    """The devices of an enclave that has booted: `console` is its terminal. Raises OSError.

    Terminals and shared memory are its own (init.c).
    """
    _fill(new)
    if console is not None:
        _bind(console, new / "console")
    for name in ("pts", "shm"):
        (new / name).mkdir(mode=0o755)
    flags = kernel.MS_NOSUID | kernel.MS_NOEXEC
    kernel.mount("shm", str(new / "shm"), "tmpfs", flags | kernel.MS_NODEV)
    kernel.mount("devpts", str(new / "pts"), "devpts", flags, "newinstance,ptmxmode=0666")


def _fill(new: Path) -> None:
    for name in DEVICES:
        if Path("/dev", name).exists():
            _bind(f"/dev/{name}", new / name)
    for name in _STAND_INS:
        _bind("/dev/null", new / name)
    for name, target in _LINKS.items():
        (new / name).symlink_to(target)


def _bind(source: str, target: Path) -> None:
    target.touch()
    kernel.mount(source, str(target), "", kernel.MS_BIND)
