"""`attested-kms shims`: the parent instance's commands under their own names, for PATH.

A shim is a small script: this Python, this installation, and no site-packages searched at start
(`-IS`), for scripts call nitro-cli often. It says in a line of its own that it is one.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

from simulator.commands import CommandFailed
from simulator.nitro_cli.places import VARIABLE

HELP = "write nitro-cli, nitro-enclaves-allocator and vsock-proxy into a folder for PATH"

_MARK = "# Written by `attested-kms shims`; it replaces its own file and no other."
_ENTRIES = {
    "nitro-cli": ("nitro_cli.main", "main(sys.argv[1:])"),
    "nitro-enclaves-allocator": ("nitro_cli.allocator_command", "main()"),
    "vsock-proxy": ("vsock_proxy.main", "main(sys.argv[1:])"),
}
"""By the command's name: the module of `simulator`, and what is called of it."""
_PACKAGE_ENTRIES = {
    "dnf": ("packages.dnf", "main(sys.argv[1:])"),
    "yum": ("packages.dnf", "main(sys.argv[1:])"),
    "rpm": ("packages.rpm", "main(sys.argv[1:])"),
    "systemctl": ("packages.systemctl", "main(sys.argv[1:])"),
}
"""Written only when asked for: they hide the commands of this system."""
_ROOT = Path(__file__).resolve().parents[2]
_MODE = 0o755
_READ = 4096


def configure(parser: argparse.ArgumentParser) -> None:
    """Where to, and for which machine."""
    parser.description = (
        "Write nitro-cli, nitro-enclaves-allocator and vsock-proxy into a folder, so that scripts "
        "that are written for a real parent instance find them by PATH. Prints what the shell is "
        "to evaluate."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="made if need be")
    parser.add_argument(
        "--machine",
        type=Path,
        metavar="FOLDER",
        help=f"the machine they ask, unless {VARIABLE} names one (default: this user's own)",
    )
    parser.add_argument(
        "--packages",
        action="store_true",
        help=f"also {', '.join(_PACKAGE_ENTRIES)} of the machine, which hide this system's own",
    )


def run(options: argparse.Namespace) -> int:
    """Write them."""
    folder: Path = options.folder
    try:
        folder = folder.absolute()
        machine = None if options.machine is None else options.machine.absolute()
        entries = _ENTRIES | (_PACKAGE_ENTRIES if options.packages else {})
        texts = {name: _text(*entry, machine) for name, entry in entries.items()}
        _write(folder, texts)
    except OSError as error:
        raise CommandFailed(
            f"{error.filename or folder} cannot be written ({error.strerror}); give a folder of "
            "your own",
            exit_code=2,
        ) from error
    print(f"export PATH={shlex.quote(str(folder))}:$PATH")
    if machine is not None:
        print(f"export {VARIABLE}={shlex.quote(str(machine))}")
    return 0


def shim_on_path() -> bool:
    """Whether the nitro-cli that PATH leads to is ours."""
    found = shutil.which("nitro-cli")
    return found is not None and _is_ours(Path(found))


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in texts:
        _check_ours(folder / name)
    for name, text in texts.items():
        # In one step: somebody may be running the old one.
        with NamedTemporaryFile("w", dir=folder, prefix=f".{name}", delete=False) as file:
            file.write(text)
        new = Path(file.name)
        new.chmod(_MODE)
        new.replace(folder / name)


def _check_ours(path: Path) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if path.is_file() and not path.is_symlink() and _is_ours(path):
        return
    raise CommandFailed(
        f"{path} is not a shim of ours, and stays as it is; give another folder, or remove it",
        exit_code=2,
    )


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return _MARK.encode() in file.read(_READ)


def _text(module: str, call: str, machine: Path | None) -> str:
    """A script for sh that is one for Python: an interpreter's path may be too long for `#!`."""
    python = "".join(f"\\{letter}" if letter in '\\"$`' else letter for letter in sys.executable)
    paths = [str(_ROOT), *(path for path in sys.path if path and Path(path).is_dir())]
    lines = [
        "#!/bin/sh",
        f"""'''exec' "{python}" -IS -X utf8 "$0" "$@\"""",
        "' '''",
        _MARK,
        "import os, sys",
        f"sys.path += {list(dict.fromkeys(paths))!r}",
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
