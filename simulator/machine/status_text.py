"""`attested-kms machine status` for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def in_words(status: Mapping[str, Any]) -> list[str]:
    """The broker's answer to `status`, a line per thing."""
    instance, pool = status["instance"], status["cpu_pool"]
    size = f"{instance['vcpus']} vCPUs, {instance['memory_mib']} MiB"
    lines = [
        f"{status['instance_id']}, {instance['type']} in {status['region']}: {size}",
        f"folder: {status['folder']}",
        f"broker: process {status['broker_process']}",
    ]
    if status["join"] is not None:
        lines.append(f"enclaves are those of the server {status['join']}")
    else:
        lines.append(f"root of its enclaves' documents: {status['root_certificate']}")
    if not status["driver"]:
        lines.append("enclaves: not enabled; there is no driver nitro_enclaves")
    lines.append(f"CPU pool: free {_listed(pool['free'])}, used {_listed(pool['used'])}")
    lines += [
        f"huge pages of {pages['size_kib']} kB on node {pages['node']}: {pages['pages']}, of which "
        f"{pages['free']} free"
        for pages in status["huge_pages"]
    ] or ["huge pages: none"]
    lines += [_enclave(one) for one in status["enclaves"]] or ["no enclave runs"]
    lines += [
        f"lost enclave {one['name']} ({one['id']}): the broker before this one was killed, and it "
        "ended with that"
        for one in status["lost"]
    ]
    return lines


def _enclave(one: Mapping[str, Any]) -> str:
    mode = ", debug mode" if one["Flags"] == "DEBUG_MODE" else ""
    return (
        f"enclave {one['EnclaveName']} ({one['EnclaveID']}): CID {one['EnclaveCID']}, CPUs "
        f"{_listed(one['CPUIDs'])}, {one['MemoryMiB']} MiB, process {one['ProcessID']}{mode}"
    )


def _listed(cpus: Sequence[int]) -> str:
    return ",".join(map(str, cpus)) or "none"
