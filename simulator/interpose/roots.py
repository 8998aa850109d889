"""The file systems that an enclave's init mounts, made ready before its root is entered.

Once the root is another, neither this machine's devices nor its `/proc` can be reached, and without
privileges the kernel mounts a new `/proc` only where one is in sight (mount_namespaces(7)). So all
are mounted beforehand, taken as mounts without a place, and put where init.c mounts them.

`/sys` and most of `/proc/sys` are read-only: they are this machine's. `/sys/fs/cgroup` is empty,
where an enclave's has the hierarchies of version 1.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from simulator.interpose import kernel
from simulator.interpose.arch import Architecture
from simulator.interpose.namespaces import fill_devices

_STRICT = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC

_TOO_MUCH = (2, 16, 17, 25, 27)
"""Capabilities that reach beyond namespaces, to the machine's files, modules, memory, clock and
devices: DAC_READ_SEARCH, SYS_MODULE, SYS_RAWIO, SYS_TIME, MKNOD (capabilities(7))."""
_REBOOT = 22
"""CAP_SYS_BOOT, with which process 1 of a namespace is ended, and a machine outside of one."""


class Mounts:
    """File systems that have no place yet."""

    def __init__(self, arch: Architecture, scratch: str) -> None:
        """Mount them on the empty folder `scratch`, and take them from there. Raises OSError."""
        self._arch = arch
        self._taken: dict[str, int] = {}
        kernel.mount("tmpfs", scratch, "tmpfs", kernel.MS_NOSUID, "mode=755")
        for path, mount in (
            ("/dev", _mount_devices),
            ("/proc", _mount_processes),
            ("/run", lambda place: kernel.mount("tmpfs", place, "tmpfs", _STRICT, "mode=0755")),
            ("/tmp", lambda place: kernel.mount("tmpfs", place, "tmpfs", _STRICT)),  # noqa: S108
            ("/sys", _mount_system),
        ):
            place = scratch + path
            os.mkdir(place)
            mount(place)
            self._taken[path] = kernel.take_mounts(arch, place)
        kernel.detach(scratch)

    @property
    def paths(self) -> tuple[str, ...]:
        """Where they belong, in init's order."""
        return tuple(self._taken)

    def put(self, path: str) -> None:
        """Mount one where it belongs. Raises OSError."""
        if not os.path.isdir(path):
            os.stat(path)
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        kernel.put_mounts(self._arch, self._taken.pop(path), path)


def enter(arch: Architecture, folder: str) -> None:
    """Make a folder this namespace's root, in which no device can be opened. Raises OSError."""
    kernel.mount(folder, folder, "", kernel.MS_BIND)
    flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_NODEV
    with suppress(PermissionError):  # The folder is on a file system with stricter flags.
        kernel.mount("", folder, "", flags)
    kernel.make_root(arch, folder)


def give_up_the_machine(*, in_namespaces: bool) -> None:
    """Let root in the enclave set no clock, load no module and make no device of this machine."""
    for capability in _TOO_MUCH if in_namespaces else (*_TOO_MUCH, _REBOOT):
        with suppress(OSError):  # It cannot be had, either, where it cannot be given up.
            kernel.drop_for_ever(capability)


def _mount_devices(place: str) -> None:
    kernel.mount("dev", place, "tmpfs", kernel.MS_NOSUID | kernel.MS_NOEXEC, "mode=0755")
    fill_devices(Path(place), console=os.ttyname(0) if os.isatty(0) else None)


def _mount_processes(place: str) -> None:
    """Settings are this machine's, but for those of the network: to be read only."""
    kernel.mount("proc", place, "proc", _STRICT)
    trigger, settings, network = (f"{place}/{name}" for name in ("sysrq-trigger", "sys", "sys/net"))
    if os.path.exists(trigger):
        kernel.mount("/dev/null", trigger, "", kernel.MS_BIND)
    for path, access in ((settings, kernel.MS_RDONLY), (network, 0)):
        if os.path.isdir(path):
            kernel.mount(path, path, "", kernel.MS_BIND)
            flags = kernel.MS_BIND | kernel.MS_REMOUNT | _STRICT | access
            kernel.mount("", path, "", flags)


def _mount_system(place: str) -> None:
    try:
        kernel.mount("sysfs", place, "sysfs", _STRICT | kernel.MS_RDONLY)
    except PermissionError:
        # In containers, where parts of this machine's are hidden. Better none than no boot.
        kernel.mount("sysfs", place, "tmpfs", _STRICT)
    groups = Path(place, "fs", "cgroup")
    with suppress(OSError):
        groups.mkdir(parents=True, exist_ok=True)
    if groups.is_dir():
        kernel.mount("cgroup_root", str(groups), "tmpfs", _STRICT, "mode=0755")
