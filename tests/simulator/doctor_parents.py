"""A parent instance that is written down, on which all is well: Amazon Linux 2023, m6i.xlarge.

A test names what it breaks: files in place of those here (None takes one away), commands in place
of those with the same words, and what host.json says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from simulator import cli
from simulator.doctor.folder import FolderHost
from simulator.doctor.model import Check, Finding
from simulator.placeholders import placeholder_files
from simulator.vsock_proxy.shipped import allowlist_text
from tests.simulator.doctor_hosts import command, written

Files = Mapping[str, str | bytes | None]

BLOBS = "/usr/share/nitro_enclaves/blobs"
POOL = "/sys/module/nitro_enclaves/parameters/ne_cpus"
ALLOCATOR_YAML = "/etc/nitro_enclaves/allocator.yaml"
NODE = "/sys/devices/system/node/node0"
NR_PAGES = f"{NODE}/hugepages/hugepages-2048kB/nr_hugepages"
FREE_PAGES = f"{NODE}/hugepages/hugepages-2048kB/free_hugepages"
ALLOCATOR = "nitro-enclaves-allocator.service"
PROXY = "nitro-enclaves-vsock-proxy.service"
DEVICE = "/dev/nitro_enclaves"
SOCKET = "/var/run/docker.sock"

_PROGRAMS = "nitro-cli nitro-enclaves-allocator vsock-proxy docker sudo gcc cc c++ make"
_UNITS = (ALLOCATOR, PROXY, "docker.service")

FILES: dict[str, str | bytes] = {
    "/etc/os-release": 'NAME="Amazon Linux"\nVERSION="2023"\nID="amzn"\nID_LIKE="fedora"\n'
    'VERSION_ID="2023"\n',
    "/sys/devices/virtual/dmi/id/sys_vendor": "Amazon EC2\n",
    "/sys/devices/system/cpu/present": "0-3\n",
    "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0,2\n",
    POOL: "1,3\n\n",
    f"{NODE}/cpu1": "",
    NR_PAGES: "256\n",
    FREE_PAGES: "256\n",
    ALLOCATOR_YAML: "---\nmemory_mib: 512\ncpu_count: 2\n",
    "/etc/nitro_enclaves/vsock-proxy.yaml": allowlist_text(),
    "/etc/group": "root:x:0:\nwheel:x:10:ec2-user\nne:x:991:ec2-user\ndocker:x:992:ec2-user\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n"
    "ec2-user:x:1000:1000:EC2 Default User:/home/ec2-user:/bin/bash\n",
    "/etc/sudoers": "Defaults env_reset\nDefaults secure_path = /sbin:/bin:/usr/sbin:/usr/bin\n"
    "root ALL=(ALL) ALL\n#includedir /etc/sudoers.d\n",
    "/home/ec2-user/.bashrc": "",
    "/root/.bashrc": "",
    SOCKET: "",
    **{f"/usr/bin/{name}": "" for name in _PROGRAMS.split()},
    **{f"/usr/lib/systemd/system/{name}": "" for name in _UNITS},
    **{f"{BLOBS}/{name}": data for name, data in placeholder_files("amd64").items()},
}
RUSTUP: dict[str, str] = {f"/home/ec2-user/.cargo/bin/{name}": "" for name in ("cargo", "rustc")}
"""A toolchain of rustup, of ec2-user's."""
CARGO = "/home/ec2-user/.cargo/bin"


def enclave(number: int, cpus: Sequence[int], **members: Any) -> dict[str, Any]:
    """One that runs, as describe-enclaves prints it."""
    return {
        "EnclaveName": f"hello_{number}",
        "EnclaveID": f"i-05f6ed443ae428c95-enc173dfe3e2b1c87{number}",
        "ProcessID": 12345 + number,
        "EnclaveCID": 16 + number,
        "NumberOfCPUs": len(cpus),
        "CPUIDs": list(cpus),
        "MemoryMiB": 512,
        "State": "RUNNING",
        "Flags": "NONE",
        "Measurements": {},
        **members,
    }


def describes(*enclaves: dict[str, Any]) -> dict[str, Any]:
    """What nitro-cli describe-enclaves prints of them."""
    return command("nitro-cli", "describe-enclaves", stdout=json.dumps(enclaves, indent=2) + "\n")


def unit(name: str, active: str = "active", enabled: str = "enabled") -> list[dict[str, Any]]:
    """What systemctl says of a unit."""
    return [
        command(
            "systemctl", "is-active", name, stdout=f"{active}\n", exit_code=3 * (active != "active")
        ),
        command(
            "systemctl",
            "is-enabled",
            name,
            stdout=f"{enabled}\n",
            exit_code=int(enabled != "enabled"),
        ),
    ]


def journal(name: str, *lines: str) -> dict[str, Any]:
    """What journalctl says of a unit."""
    text = "".join(f"Nov 27 19:10:11 ip-10-0-0-1 {name}[4711]: {line}\n" for line in lines)
    return command("journalctl", "--no-pager", "-n", "50", "-u", name, stdout=text)


def package(name: str, *, is_installed: bool = True) -> dict[str, Any]:
    """What rpm says of a package."""
    if is_installed:
        return command("rpm", "-q", name, stdout=f"{name}-1.4.4-0.amzn2023.x86_64\n")
    return command("rpm", "-q", name, stdout=f"package {name} is not installed\n", exit_code=1)


COMMANDS = (
    package("aws-nitro-enclaves-cli"),
    package("aws-nitro-enclaves-cli-devel"),
    describes(),
    *unit(ALLOCATOR),
    *unit(PROXY),
    *unit("docker.service"),
    command("dmesg", stdout="[    0.000000] Linux version 6.1\n"),
)


def parent(
    folder: Path,
    files: Files | None = None,
    commands: Sequence[dict[str, Any]] = (),
    *,
    without: Sequence[str] = (),
    **described: Any,
) -> Path:
    """The folder; `without` names programs that answer nothing, being missing."""
    all_files = {**FILES, **(files or {})}
    kept = {path: content for path, content in all_files.items() if content is not None}
    instead = [entry["words"] for entry in commands]
    all_commands = [
        entry
        for entry in (*(one for one in COMMANDS if one["words"] not in instead), *commands)
        if entry["words"][0] not in without
    ]
    members = {
        "environ": {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        "writable": ["/"],
        "devices": [DEVICE],
        "commands": all_commands,
        **described,
    }
    return written(folder, kept, **members)


def found(check: Check, folder: Path) -> list[Finding]:
    """What a check finds there."""
    return list(check.probe(FolderHost(folder)))


def only(check: Check, folder: Path) -> Finding:
    """The one thing that it finds."""
    (finding,) = found(check, folder)
    return finding


def doctor(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What the command prints as JSON, which says its exit code, too."""
    exit_code = cli.main(["doctor", "--host", str(folder), "--json", *words])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == exit_code
    return answer


def without_cli() -> dict[str, None]:
    """The files of a machine on which nitro-cli's packages are not installed."""
    gone = ("/nitro", "/vsock-proxy", BLOBS, "/etc/nitro_enclaves")
    names = [path for path in FILES if path.startswith(("/usr", "/etc"))]
    return {path: None for path in names if any(part in path for part in gone)}
