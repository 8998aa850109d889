"""`attested-kms shims`: the parent instance's commands under their own names, for PATH."""

from __future__ import annotations

import argparse
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from simulator import shim
from simulator.commands import CommandFailed
from simulator.nitro_cli.places import VARIABLE

HELP = "write nitro-cli, nitro-enclaves-allocator and vsock-proxy into a folder for PATH"


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
        help=f"also {', '.join(shim.SYSTEM | shim.TOOLCHAIN)} of the machine, which hide this "
        "system's own",
    )


def run(options: argparse.Namespace) -> int:
    """Write them."""
    folder: Path = options.folder
    try:
        folder = folder.absolute()
        machine = None if options.machine is None else options.machine.absolute()
        others = shim.SYSTEM | shim.TOOLCHAIN if options.packages else {}
        _write(folder, shim.NITRO | others, machine)
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
    return found is not None and shim.is_shim(Path(found))


def _write(folder: Path, entries: Mapping[str, tuple[str, str]], machine: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in entries:
        _check_ours(folder / name)
    shim.write_all(folder, entries, machine)


def _check_ours(path: Path) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if path.is_file() and not path.is_symlink() and shim.is_shim(path):
        return
    raise CommandFailed(
        f"{path} is not a shim of ours, and stays as it is; give another folder, or remove it",
        exit_code=2,
    )
