"""The vsock fabric: a folder in which an address (cid, port) is the Unix socket CID_PORT.sock.

The guest side of QEMU and Firecracker uses the same convention. Programs find the folder in the
environment variable ATTESTED_KMS_FABRIC (`scenarios.workload.transport`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scenarios.workload.transport import FABRIC_VARIABLE


@dataclass(frozen=True, slots=True)
class Fabric:
    """One parent instance's sockets."""

    folder: Path

    @property
    def nsm_socket(self) -> Path:
        """Where the enclave finds its NSM."""
        return self.folder / "nsm.sock"

    def socket(self, cid: int, port: int) -> Path:
        """The Unix socket of a vsock address."""
        return self.folder / f"{cid}_{port}.sock"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to be in this fabric."""
        return {FABRIC_VARIABLE: str(self.folder)}


@contextmanager
def temporary_fabric() -> Iterator[Fabric]:
    """A fabric in a folder of its own, removed at the end.

    Directly below /tmp where there is one: a Unix socket's path has at most 104 bytes on macOS,
    whose own temporary folder takes half of them.
    """
    root = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108  # mkdtemp makes it private.
    folder = Path(tempfile.mkdtemp(prefix="attested-kms-", dir=root))
    try:
        yield Fabric(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
