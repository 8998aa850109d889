"""What packages put on an instance, as far as the simulator or a script asks for it.

Source: the %files, %post and %postun of SPECS/aws-nitro-enclaves-cli.spec v1.4.4 (`inferred`).
Programs (`simulator.packages.programs`) are markers: the commands that run are the shims, which
look whether the marker is there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from simulator import shim
from simulator.instance import accounts
from simulator.packages.catalogue import CLI, DEVEL, DOCKER
from simulator.packages.programs import programs
from simulator.placeholders import placeholder_files
from simulator.vsock_proxy import shipped

BLOBS = "/usr/share/nitro_enclaves/blobs"
LOGS = "/var/log/nitro_enclaves"
SOCKETS = "/run/nitro_enclaves"
SETTINGS = "/etc/nitro_enclaves"
UNITS = "/usr/lib/systemd/system"

_IMAGE_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
_MARKER = b"attested-kms placeholder: the program is the shim of this name\n"
_ALLOCATOR = """\
---
# What nitro-enclaves-allocator reserves when it starts.
memory_mib: 512
# Either a number of CPUs, or the CPUs themselves: cpu_pool: 1,3
cpu_count: 2
"""


@dataclass(frozen=True, slots=True)
class Content:
    """What a package has."""

    files: Mapping[str, bytes]
    settings: Mapping[str, bytes]
    """Files that people edit: one that is there stays as it is (%config(noreplace))."""
    made: tuple[str, ...] = ()
    """Folders that it makes, and that go with it."""
    groups: tuple[str, ...] = ()
    """Groups that it makes, and that stay (groupadd in %pre)."""


def unit_file(name: str) -> str:
    """Where a package keeps its unit."""
    return f"{UNITS}/{name}"


def put(root: Path, package: str, architecture: str) -> None:
    """Lay a package's files out. Raises OSError."""
    content = content_of(package, architecture)
    for group in content.groups:
        accounts.add_group(root, group)
    for folder in content.made:
        at(root, folder).mkdir(parents=True, exist_ok=True)
    if LOGS in content.made:
        at(root, f"{LOGS}/nitro_enclaves.log").touch()
    for name, data in content.files.items():
        _write(at(root, name), data)
        if data.startswith(b"#!"):
            at(root, name).chmod(0o755)
    for name, data in content.settings.items():
        if not at(root, name).exists():
            _write(at(root, name), data)


def take(root: Path, package: str, architecture: str) -> None:
    """Remove a package's files; settings that were edited are kept aside. Raises OSError."""
    content = content_of(package, architecture)
    for name in content.files:
        at(root, name).unlink(missing_ok=True)
    for name, data in content.settings.items():
        path = at(root, name)
        if not path.exists():
            continue
        if path.read_bytes() == data:
            path.unlink()
        else:
            path.replace(path.with_name(f"{path.name}.rpmsave"))
    for folder in content.made:
        if at(root, folder).exists():
            shutil.rmtree(at(root, folder))


def content_of(package: str, architecture: str) -> Content:
    """What it has; nothing but its programs, if nobody asks for it here."""
    find = _CONTENTS.get(package)
    content = find(architecture) if find is not None else Content({}, {})
    return replace(content, files={**content.files, **_programs(package)})


def _programs(package: str) -> dict[str, bytes]:
    """Those that the simulator has, and marks of the others."""
    entries = {path: shim.ALL.get(PurePath(path).name) for path in programs(package)}
    return {
        path: _MARKER if entry is None else shim.script(entry).encode()
        for path, entry in entries.items()
    }


def _cli(_: str) -> Content:
    units = ("nitro-enclaves-allocator.service", "nitro-enclaves-vsock-proxy.service")
    return Content(
        {unit_file(name): _MARKER for name in units},
        {
            f"{SETTINGS}/allocator.yaml": _ALLOCATOR.encode(),
            shipped.CONFIGURATION: shipped.allowlist_text().encode(),
        },
        (LOGS, SOCKETS),
        ("ne",),
    )


def _devel(architecture: str) -> Content:
    blobs = placeholder_files(_IMAGE_ARCHITECTURES[architecture])
    return Content({f"{BLOBS}/{name}": data for name, data in blobs.items()}, {}, (BLOBS,))


def _docker(_: str) -> Content:
    return Content({unit_file("docker.service"): _MARKER}, {}, groups=("docker",))


_CONTENTS: dict[str, Callable[[str], Content]] = {
    CLI: _cli,
    DEVEL: _devel,
    DOCKER: _docker,
}


def at(root: Path, path: str) -> Path:
    """Where a file of the instance is."""
    return root / path.lstrip("/")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
