"""Where a simulated parent instance is on this machine: one folder per instance.

broker.sock   the broker, while it runs
lock          held while a broker starts or runs
machine.json  what the instance is: type, allocator, packages; read when the broker starts
state.json    which enclaves there are, to tell an orderly end of the broker from a killed one
broker.log    what the broker complains of
seed          of the PKI of its enclaves' documents
root.pem      the root of that PKI, to hand out
enclaves/     the files of enclaves that run
vsock/        the fabric: a vsock address is `CID_PORT.sock`
images/       container images by name, as a Docker engine would hold them
packages.json which packages are installed; services.json, journal.log: what their units do;
              nitro-enclaves-vsock-proxy.service.{json,lock}: the one that has a process
catalogue.txt more names that dnf is to know; whoever wants them writes it
shell/        what scripts have written to this system's folders (attested-kms machine shell)
root/         the instance's own files, at their real paths: root/var/log/nitro_enclaves, ...

Messages name the instance's paths (`/var/log/nitro_enclaves/err...log`), as a script expects of
them; the files are below `root/`, for the user of this machine need not be root.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "ATTESTED_KMS_MACHINE"
"""The environment variable that names the folder."""

_LONGEST_PATH = 107 - len("/vsock/4294967295_4294967295.sock")
_ROOT_USER = 0


class FolderRefused(Exception):
    """The machine's folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class MachineFolder:
    """The folder of one simulated parent instance."""

    path: Path

    @classmethod
    def locate(
        cls, environ: Mapping[str, str], given: Path | None = None, *, make: bool = True
    ) -> MachineFolder:
        """That of `given`, of the variable, or this user's own; its machine is made if need be.

        Raises FolderRefused, also where it belongs to somebody else.
        """
        named = given or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
        try:
            path = (named or default_path()).absolute()
        except OSError as error:
            raise FolderRefused(
                f"The machine's folder {named} is one of the current folder, which has been "
                "removed; change to another."
            ) from error
        # Beside the sockets of the fabric, of which a path may have 107 bytes (unix(7)).
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise FolderRefused(
                f"The machine's folder {path} has too long a name for the sockets in it: it may "
                f"have {_LONGEST_PATH} bytes. Name another in {VARIABLE}."
            )
        try:
            if named is None:
                path.parent.mkdir(mode=0o700, exist_ok=True)
                # Not through a link that another may have put there: /tmp is everybody's.
                if path.parent.lstat().st_uid != os.getuid():
                    raise FolderRefused(
                        f"{path.parent} belongs to somebody else; name a folder of your own in "
                        f"{VARIABLE}."
                    )
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.stat().st_uid not in (os.getuid(), _ROOT_USER) and os.getuid() != _ROOT_USER:
                raise FolderRefused(
                    f"The machine {path} belongs to somebody else; name a folder of your own in "
                    f"{VARIABLE}."
                )
            (path / "vsock").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise FolderRefused(
                f"The machine's folder {path} cannot be used ({error.strerror}); name another in "
                f"{VARIABLE}."
            ) from error
        if make and not (path / "machine.json").exists():
            _make(path)
        return cls(path)

    @property
    def socket(self) -> Path:
        """The broker's."""
        return self.path / "broker.sock"

    @property
    def lock(self) -> Path:
        """Held by whoever starts or is the broker."""
        return self.path / "lock"

    @property
    def fabric(self) -> Path:
        """The vsock addresses."""
        return self.path / "vsock"

    def on_instance(self, path: str) -> Path:
        """Where a file of the instance is: `/var/log/x` is `root/var/log/x`."""
        return self.path / "root" / path.lstrip("/")

    def console(self, cid: int) -> Path:
        """The console of the enclave: vsock CID 0, port CID + 10000 (src/utils.rs)."""
        return self.fabric / f"0_{cid + 10_000}.sock"


def default_path() -> Path:
    """This user's own machine.

    HOME is no place for it: scripts run without one (bug 3 of the field notes).
    """
    return Path(tempfile.gettempdir(), f"attested-kms-{os.getuid()}", "machine")


def _make(path: Path) -> None:
    from simulator.machine.making import CannotMake, ensure_made

    try:
        ensure_made(path)
    except CannotMake as error:
        raise FolderRefused(str(error)) from error
