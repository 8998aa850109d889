"""A new parent instance: its machine.json, its files below `root/`, its allocator run once.

Standard library only: whoever asks for a machine that is not there yet makes it on the way.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from simulator.instance import launched, rustup_home
from simulator.instance.launched import ASSET_TAG
from simulator.machine import allocator
from simulator.machine.configuration import Configuration
from simulator.machine.driver import DEVICE, POOL_FILE, Driver
from simulator.machine.files import replace_text
from simulator.machine.huge_pages import HugePages
from simulator.machine.kernel_log import PATH as KERNEL_LOG
from simulator.machine.kernel_log import KernelLog
from simulator.packages import contents, installed, services
from simulator.packages.contents import SOCKETS

_OWN = (
    *("state.json", "seed", "root.pem"),
    *(f"{services.PROXY.name}.{kind}" for kind in ("lock", "json")),
    *(installed.NAME, services.NAME, services.JOURNAL),
)


class CannotMake(Exception):
    """The machine cannot be made there; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What is installed and done on a new instance."""

    memory_mib: int = 512
    cpus: int | Sequence[int] = 2
    """A number of them, or those."""
    has_driver: bool = True
    """Launched with --enclave-options Enabled=true."""
    has_cli: bool = True
    """The package aws-nitro-enclaves-cli; without it the memory and CPUs above are nobody's."""
    has_devel: bool = True
    """The package aws-nitro-enclaves-cli-devel."""
    rustup_user: str | None = None
    """Who has a Rust toolchain, in the home folder, where rustup puts it."""
    runs_allocator: bool = True
    """nitro-enclaves-allocator.service is enabled and started."""


@dataclass(frozen=True, slots=True)
class Host:
    """The instance around the enclaves, as its files have it."""

    root: Path
    configuration: Configuration
    log: KernelLog
    pages: HugePages
    driver: Driver = field(repr=False)

    @classmethod
    def open(cls, folder: Path, configuration: Configuration) -> Host:
        """That of a machine's folder."""
        root, instance = folder / "root", configuration.instance
        marker = folder / "machine.json"
        booted = marker.stat().st_mtime if marker.exists() else time.time()
        log = KernelLog(root / KERNEL_LOG.lstrip("/"), booted)
        pages = HugePages(root, instance)
        return cls(root, configuration, log, pages, Driver(root, instance, pages, log))

    def instance_id(self) -> str:
        """As nitro-cli finds it (src/enclave_proc/utils.rs)."""
        try:
            text = contents.at(self.root, ASSET_TAG).read_text(errors="replace")
        except OSError:
            return "i-0000000000000000"
        return "".join(text.split())

    @property
    def sockets(self) -> Path:
        """The folder of the enclave processes' sockets."""
        return contents.at(self.root, SOCKETS)

    def socket(self, slot_uid: int) -> Path:
        """Of an enclave's process."""
        return self.sockets / f"{slot_uid:x}.sock"

    def allocate(self, install_dir: str = "", directory: str = "/") -> allocator.Outcome:
        """Run the allocator; see there."""
        return allocator.allocate(
            allocator.Host(self.root, self.configuration.instance, self.pages, self.driver),
            install_dir,
            directory,
        )


def ensure_made(folder: Path) -> None:
    """Make the default machine in a folder that has none. Raises CannotMake."""
    if not (folder / "machine.json").exists():
        with _making(folder):
            # Another may have made it while this one waited.
            if not (folder / "machine.json").exists():
                _make(folder, Configuration(), Installation())


def make(folder: Path, configuration: Configuration, installation: Installation) -> list[str]:
    """Make a machine, in place of one that is there; returns what its allocator printed.

    The broker of one that was there must not run. Raises CannotMake.
    """
    with _making(folder):
        _remove(folder)
        return _make(folder, configuration, installation)


@contextmanager
def _making(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "making.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
    except OSError as error:
        raise CannotMake(
            f"No machine can be made in {folder} ({error.strerror}); give another folder with "
            "--machine, or in ATTESTED_KMS_MACHINE."
        ) from error


def _remove(folder: Path) -> None:
    (folder / "machine.json").unlink(missing_ok=True)
    for name in _OWN:
        (folder / name).unlink(missing_ok=True)
    # shell/ is what scripts have written on the machine (simulator.machine_shell).
    for name in ("root", "shell"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _make(folder: Path, configuration: Configuration, installation: Installation) -> list[str]:
    """The file machine.json comes last: a machine is there whole or not at all."""
    try:
        host = Host.open(folder, configuration)
        _lay_out(folder, host, installation)
        lines: list[str] = []
        if installation.runs_allocator:
            outcome = host.allocate()
            lines = [*outcome.errors, *outcome.lines]
            services.began(folder, outcome.exit_code, lines)
        replace_text(folder / "machine.json", configuration.to_json())
    except OSError:
        with suppress(OSError):
            _remove(folder)
        raise
    return lines


def _lay_out(folder: Path, host: Host, installation: Installation) -> None:
    root = host.root
    instance = host.configuration.instance
    # What a killed maker left: no machine was made of it.
    shutil.rmtree(root, ignore_errors=True)
    (folder / "vsock").mkdir(mode=0o700, exist_ok=True)
    files: dict[str, bytes] = {}
    if installation.has_cli:
        text = allocator.configuration_text(installation.memory_mib, installation.cpus)
        files[allocator.CONFIGURATION] = text.encode()
    if installation.has_driver:
        files |= {POOL_FILE: b"\n", DEVICE: b""}
    for name, content in files.items():
        path = contents.at(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    names = installed.first(has_cli=installation.has_cli, has_devel=installation.has_devel)
    for name in names:
        contents.put(root, name, instance.architecture)
    launched.lay_out(root, host.configuration)
    if installation.rustup_user is not None:
        rustup_home.install(folder, installation.rustup_user, instance.architecture)
    installed.write(folder, names)
    host.pages.make()
