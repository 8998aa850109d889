"""The commands of a parent instance as files: which there are, and what such a file says.

A shim is a small script: this Python, this installation, and no site-packages searched at start
(`-IS`), for scripts call nitro-cli often. It says in a line of its own that it is one. Standard
library only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from simulator.nitro_cli.places import VARIABLE

MARK = "# Written by `attested-kms shims`; it replaces its own file and no other."
INSTALLATION = Path(__file__).resolve().parents[1]
"""The folder that this project is imported from."""

NITRO = {
    "nitro-cli": ("nitro_cli.main", "main(sys.argv[1:])"),
    "nitro-enclaves-allocator": ("nitro_cli.allocator_command", "main()"),
    "vsock-proxy": ("vsock_proxy.main", "main(sys.argv[1:])"),
}
"""By the command's name: the module of `simulator`, and what is called of it."""
SYSTEM = {
    "dnf": ("packages.dnf", "main(sys.argv[1:])"),
    "yum": ("packages.dnf", "main(sys.argv[1:])"),
    "rpm": ("packages.rpm", "main(sys.argv[1:])"),
    "systemctl": ("packages.systemctl", "main(sys.argv[1:])"),
    "journalctl": ("instance.journalctl", "main(sys.argv[1:])"),
    "dmesg": ("instance.dmesg", "main(sys.argv[1:])"),
    "usermod": ("instance.usermod", "main(sys.argv[1:])"),
    "sudo": ("instance.sudo", "main(sys.argv[1:], sys.argv[0])"),
}
"""Those that every instance has, and that hide the commands of this system."""
TOOLCHAIN = {
    "cargo": ("instance.rust", "main('cargo', sys.argv[1:])"),
    "rustc": ("instance.rust", "main('rustc', sys.argv[1:])"),
    "cc": ("instance.compiler", "main('cc', sys.argv[1:])"),
    "gcc": ("instance.compiler", "main('gcc', sys.argv[1:])"),
    "c++": ("instance.compiler", "main('c++', sys.argv[1:])"),
    "g++": ("instance.compiler", "main('g++', sys.argv[1:])"),
}
"""Those that an instance has when a package has brought them; they hide this system's, too."""
ENGINE = {"docker": ("instance.docker", "main(sys.argv[1:])")}
"""Brought by a package, too; beside a PATH of this system's, whose own engine is of more use."""
ALL = NITRO | SYSTEM | TOOLCHAIN | ENGINE
OWN_COMMAND = ("cli", "main()")
"""`attested-kms` itself."""

_READ = 4096


def script(entry: tuple[str, str], machine: Path | None = None) -> str:
    """A script for sh that is one for Python: an interpreter's path may be too long for `#!`.

    It asks the machine of the environment, else `machine`, else this user's own.
    """
    module, call = entry
    python = "".join(f"\\{letter}" if letter in '\\"$`' else letter for letter in sys.executable)
    lines = [
        "#!/bin/sh",
        f"""'''exec' "{python}" -IS -X utf8 "$0" "$@\"""",
        "' '''",
        MARK,
        "import os, sys",
        f"sys.path += {search_path()!r}",
    ]
    if machine is not None:
        lines.append(
            f"os.environ[{VARIABLE!r}] = os.environ.get({VARIABLE!r}) or {os.fspath(machine)!r}"
        )
    lines += [
        f"from simulator.{module} import main",
        f"sys.exit({call})",
    ]
    return "\n".join(lines) + "\n"


def search_path() -> list[str]:
    """Where this process finds modules, for one that searches nothing at its start."""
    paths = [str(INSTALLATION), *(path for path in sys.path if path and Path(path).is_dir())]
    return list(dict.fromkeys(paths))


def is_shim(path: Path) -> bool:
    """Whether the file is one of ours. Raises OSError."""
    with path.open("rb") as file:
        return MARK.encode() in file.read(_READ)


def write(path: Path, text: str, mode: int = 0o755) -> None:
    """Put a shim in place in one step: somebody may be running the old one. Raises OSError."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.chmod(mode)
    new.replace(path)


def write_all(folder: Path, entries: Mapping[str, tuple[str, str]], machine: Path | None) -> None:
    """All of them into a folder, which is made if need be. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, entry in entries.items():
        write(folder / name, script(entry, machine))
