"""`cargo`, `rustc` and `rustup` of the instance: stand-ins, which compile nothing.

They are there, or not; they find a linker, or not: bug 4 of the field notes. What they say where
something is missing are the lines of rustc 1.95, cargo 1.95 and rustup 1.28, run without a `cc`,
without a Cargo.toml, and without a toolchain (`reported`). Where all is there, they say that
nothing is compiled, and make no file. Anything else ends with 70.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.instance.rustup_home import SETTINGS
from simulator.nitro_cli.main import NO_MACHINE
from simulator.nitro_cli.presence import NOT_FOUND, not_found
from simulator.nitro_cli.session import write
from simulator.packages.catalogue import CATALOGUE
from simulator.packages.machine import STDERR, Machine, command, complain, say

_CARGO_FAILED, _RUSTC_FAILED = 101, 1
_NO_LINKER = """\
error: linker `cc` not found
  |
  = note: No such file or directory (os error 2)
"""
_BUILDING = {"build": "build", "b": "build", "run": "run", "r": "run", "test": "test", "t": "test"}
_DEFAULT = re.compile(r'(?m)^default_toolchain = "([^"]+)"')


def main(program: str, arguments: Sequence[str], *, is_of_rustup: bool = False) -> int:
    """Run one command line; returns the exit code."""
    return command(program, lambda: _main(program, arguments, is_of_rustup=is_of_rustup))


def _main(program: str, arguments: Sequence[str], *, is_of_rustup: bool) -> int:
    machine = Machine.find(os.environ)
    if not is_of_rustup and not machine.has(program):
        write(STDERR, not_found(program))
        return NOT_FOUND
    if program == "rustup":
        return _rustup(arguments)
    if is_of_rustup and not _toolchain():
        complain(
            f"error: rustup could not choose a version of {program} to run, because one wasn't "
            "specified explicitly, and no default is configured.\nhelp: run 'rustup default "
            "stable' to download the latest stable release of Rust and set it as your default "
            "toolchain."
        )
        return 1
    words = [word for word in arguments if not word.startswith("+")]
    if set(words[:1]) & {"--version", "-V"}:
        say(f"{program} {CATALOGUE['rust'].version.partition('-')[0]} (attested-kms stand-in)")
        return 0
    return _cargo(machine, words) if program == "cargo" else _rustc(machine, words)


def _settings() -> Path | None:
    home = os.environ.get("RUSTUP_HOME")
    if home:
        return Path(home, SETTINGS)
    user = os.environ.get("HOME")
    return Path(user, ".rustup", SETTINGS) if user else None


def _toolchain() -> str | None:
    """The one that rustup would take: of RUSTUP_TOOLCHAIN, or the user's default."""
    named = os.environ.get("RUSTUP_TOOLCHAIN")
    path = _settings()
    if named or path is None:
        return named or None
    try:
        found = _DEFAULT.search(path.read_text(errors="replace"))
    except FileNotFoundError:
        return None
    return found[1] if found else None


def _rustup(arguments: Sequence[str]) -> int:
    if list(arguments) == ["default"]:
        toolchain = _toolchain()
        if toolchain is None:
            complain("error: no default toolchain is configured")
            return 1
        say(f"{toolchain} (default)")
        return 0
    complain(
        "rustup (attested-kms): only rustup default is simulated; attested-kms machine create "
        "--rustup-user makes a toolchain"
    )
    return NO_MACHINE


def _cargo(machine: Machine, words: Sequence[str]) -> int:
    verb = next((word for word in words if not word.startswith("-")), "")
    kind = "check" if verb in ("check", "c") else _BUILDING.get(verb)
    if kind is None:
        complain(
            f"cargo (attested-kms): {verb or 'no command'} is not simulated; those that are: "
            "build, run, test, check"
        )
        return NO_MACHINE
    manifest = _manifest(words)
    if manifest is None:
        complain(f"error: could not find `Cargo.toml` in `{Path.cwd()}` or any parent directory")
        return _CARGO_FAILED
    try:
        members = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        complain(f"error: failed to parse manifest at `{manifest}`")
        return _CARGO_FAILED
    return _build(machine, kind, manifest, members)


def _build(machine: Machine, kind: str, manifest: Path, members: dict[str, Any]) -> int:
    package = members.get("package")
    package = package if isinstance(package, dict) else {}
    name = str(package.get("name", manifest.parent.name))
    if package:
        word = "Checking" if kind == "check" else "Compiling"
        version = package.get("version", "0.0.0")
        complain(f"{word:>12} {name} v{version} ({manifest.parent})")
    linked = _linked(manifest, members, name, kind)
    if linked is not None and not machine.has("cc"):
        complain(_NO_LINKER)
        complain(f"error: could not compile `{name}` ({linked}) due to 1 previous error")
        return _CARGO_FAILED
    return _nothing_compiled("cargo", runs=kind in ("run", "test"))


def _linked(manifest: Path, members: dict[str, Any], name: str, kind: str) -> str | None:
    """What of it is linked first, as cargo names it; a library alone is not.

    Of a workspace's members one is a program, most likely.
    """
    if (manifest.parent / "build.rs").exists():
        return "build script"
    is_program = (
        "workspace" in members or "bin" in members or (manifest.parent / "src/main.rs").exists()
    )
    return f'bin "{name}"' if is_program and kind != "check" else None


def _nothing_compiled(program: str, *, runs: bool) -> int:
    complain(
        f"attested-kms: {program}: nothing is compiled, and no file is made: the simulated "
        "instance has no compiler of its own"
    )
    return NO_MACHINE if runs else 0


def _manifest(words: Sequence[str]) -> Path | None:
    """That of --manifest-path, or of the current folder or one above it."""
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--manifest-path":
            return Path(value if equals else "".join(words[index + 1 : index + 2])).absolute()
    here = Path.cwd()
    found = (folder / "Cargo.toml" for folder in (here, *here.parents))
    return next((path for path in found if path.exists()), None)


def _rustc(machine: Machine, words: Sequence[str]) -> int:
    sources = [word for word in words if word.endswith(".rs")]
    if not sources:
        complain("rustc (attested-kms): only rustc FILE.rs and --version are simulated")
        return NO_MACHINE
    if not Path(sources[0]).exists():
        complain(f"error: couldn't read `{sources[0]}`: No such file or directory (os error 2)\n")
    elif not machine.has("cc"):
        complain(_NO_LINKER)
    else:
        return _nothing_compiled("rustc", runs=False)
    complain("error: aborting due to 1 previous error\n")
    return _RUSTC_FAILED
