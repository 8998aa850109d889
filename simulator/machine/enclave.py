"""One enclave that runs, and how `describe-enclaves` shows it (src/common/json_output.rs)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.machine import failures
from simulator.machine.driver import Slot
from simulator.machine.parts import Booted, Image, Nsm
from simulator.nitro_cli.failure import Failure
from simulator.nitro_cli.rust_text import quoted

EMPTY, RUNNING, TERMINATING = "EMPTY", "RUNNING", "TERMINATING"
_MIB = 1 << 20


@dataclass(slots=True, kw_only=True)
class Enclave:
    """An enclave from its heartbeat to its end."""

    name: str
    enclave_id: str
    uid: int
    """The number in its id: the driver's, or that of the server that was joined."""
    slot: Slot
    cid: int
    debug_mode: bool
    user: int
    """Who ran it."""
    logs: str | None
    """The folder of its process's log files, if not the instance's own."""
    image: Image
    nsm: Nsm
    booted: Booted
    scratch: Path
    socket: Path
    """Of its process, in the instance's /run/nitro_enclaves."""
    state: str = RUNNING

    def run_answer(self) -> dict[str, Any]:
        """What run-enclave prints (EnclaveRunInfo)."""
        return {
            "EnclaveName": self.name,
            "EnclaveID": self.enclave_id,
            "ProcessID": self.booted.process_id,
            "EnclaveCID": self.cid,
            "NumberOfCPUs": len(self.slot.vcpus),
            "CPUIDs": list(self.slot.vcpus),
            "MemoryMiB": self.slot.memory // _MIB,
        }

    def description(self) -> dict[str, Any]:
        """What describe-enclaves --metadata prints of it (EnclaveDescribeInfo).

        The measurements are the image's, in debug mode too: what an enclave attests then, zeros, is
        not to be had here (issue 695).
        """
        return {
            **self.run_answer(),
            "State": self.state,
            "Flags": "DEBUG_MODE" if self.debug_mode else "NONE",
            "Measurements": {"HashAlgorithm": self.image.hash_algorithm, **self.image.pcrs},
            **(_described_metadata(self.image.metadata) if self.image.metadata else {}),
        }

    def not_described(self, *, with_metadata: bool) -> Failure | None:
        """Why its process fails to describe it; it ends then, and the enclave with it."""
        if self.image.not_described is not None:
            return failures.image_not_described(quoted(self.image.not_described))
        custom = (self.image.metadata or {}).get("CustomMetadata")
        if with_metadata and custom is not None and not isinstance(custom, dict):
            return failures.metadata_not_shown(_SERDE_NAMES[type(custom)])
        return None


def _described_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    build = metadata["BuildMetadata"]
    custom = metadata.get("CustomMetadata")
    return {
        "ImageName": metadata["ImageName"],
        "ImageVersion": metadata["ImageVersion"],
        "Metadata": {
            **{name: build[name] for name in _BUILD},
            "DockerInfo": metadata.get("DockerInfo"),
            **(custom if isinstance(custom, dict) else {}),
        },
    }


_SERDE_NAMES = {
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    list: "a sequence",
}
_BUILD = ("BuildTime", "BuildTool", "BuildToolVersion", "OperatingSystem", "KernelVersion")
