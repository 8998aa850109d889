"""A Rust toolchain as rustup leaves it in a home folder: `.cargo/bin`, `.cargo/env`, `.rustup`.

Its programs are stand-ins (`simulator.instance.rust`), its `env` does what rustup's does: it puts
`$HOME/.cargo/bin` on PATH, unless it is there, and so fails under `set -u` where HOME is not set.
Files and behaviour are those that rustup 1.28 left on a Debian (`reported`); which of a shell's
files read `env` is `inferred`.
"""

from __future__ import annotations

from pathlib import Path

from simulator import shim
from simulator.instance import accounts
from simulator.packages.contents import at

PROGRAMS = ("cargo", "rustc", "rustup")
SETTINGS = "settings.toml"

_ENV = """\
# Puts this user's Rust programs on PATH, once.
case ":${PATH}:" in
    *:"$HOME/.cargo/bin":*) ;;
    *) export PATH="$HOME/.cargo/bin:$PATH" ;;
esac
"""
_READ_ENV = '. "$HOME/.cargo/env"\n'
_PLATFORMS = {"x86_64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}


def install(machine: Path, user: str, architecture: str) -> None:
    """Put one into the home folder of a user of the machine. Raises OSError."""
    root = machine / "root"
    home = at(root, accounts.users(root)[user].home)
    toolchain = f"stable-{_PLATFORMS[architecture]}"
    for folder in (".cargo/bin", f".rustup/toolchains/{toolchain}"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    (home / ".cargo/env").write_text(_ENV)
    (home / ".rustup" / SETTINGS).write_text(f'default_toolchain = "{toolchain}"\n')
    for name in PROGRAMS:
        program = home / ".cargo/bin" / name
        call = f"main({name!r}, sys.argv[1:], is_of_rustup=True)"
        shim.write(program, shim.script(("instance.rust", call), machine))
    for name in (".bashrc", ".bash_profile"):
        with (home / name).open("a") as file:
            file.write(_READ_ENV)
