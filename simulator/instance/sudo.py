"""The command `sudo` of the instance, whose point is what it does not keep: PATH, HOME, the rest.

Amazon Linux's sudoers has env_reset, always_set_home and a secure_path: the command is looked for
there and gets that PATH, with -E too, and a PATH=... on its command line does not help to find it
(plugins/sudoers/env.c and sudoers.c of sudo 1.9; `inferred`, read and not run). On the simulated
instance that PATH is the folder of the shims, and then this system's. Nobody becomes another user,
and nobody is asked for a password. The environment keeps, beside what sudo keeps, which machine is
meant.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from simulator.instance import accounts
from simulator.instance.sudoers import secure_path
from simulator.nitro_cli.main import NO_MACHINE
from simulator.nitro_cli.places import VARIABLE
from simulator.packages.machine import Machine, command, complain, say
from simulator.shim import is_shim

_VERSION = "Sudo version 1.9.15p5"
_KEPT = re.compile(
    r"LANG|LANGUAGE|LC_\w+|TERM|COLORTERM|COLORS|LS_COLORS|DISPLAY|XAUTHORITY|HOSTNAME|HISTSIZE"
    r"|MAIL|PS[12]|USERNAME|ATTESTED_KMS_\w+"
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_ESCAPED = re.compile(r"([^\w$-])", re.ASCII)
_PLACES = ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
_SWITCHES = {
    "E": "keeps",
    "i": "login",
    "s": "shell",
    "--preserve-env": "keeps",
    "--login": "login",
    "--shell": "shell",
}
_IGNORED = frozenset({"n", "H", "S", "--non-interactive", "--set-home", "--stdin"})
_PROFILE = "[ ! -f ~/.bash_profile ] || . ~/.bash_profile\ncd ~\n"


class _Unusable(Exception):
    """sudo does not do it; the message is what it says."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(slots=True)
class _Asked:
    user: str = "root"
    keeps: bool = False
    login: bool = False
    shell: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


def main(arguments: Sequence[str], program: str) -> int:
    """Become the command; returns the exit code where there is none. `program` is the shim."""
    return command("sudo", lambda: _main(arguments, Path(program).absolute().parent))


def _main(arguments: Sequence[str], shims: Path) -> int:
    if list(arguments) in (["-V"], ["--version"]):
        say(_VERSION)
        return 0
    try:
        asked = _read(arguments, os.environ)
        _become(asked, Machine.find(os.environ), shims)
    except _Unusable as error:
        complain(str(error))
        return error.exit_code


def _become(asked: _Asked, machine: Machine, shims: Path) -> NoReturn:
    """Raises _Unusable."""
    user = accounts.users(machine.root).get(asked.user)
    if user is None:
        raise _Unusable(
            f"sudo: unknown user {asked.user}\nsudo: error initializing audit plugin sudoers_audit"
        )
    path = secure_path(machine.root)
    found, words = _command(asked, machine, shims, path)
    environment = _environment(asked, machine, user, f"{shims}:{path}", words)
    try:
        os.execve(found, words, environment)  # noqa: S606  # That is what sudo is for.
    except OSError as error:
        raise _Unusable(f"sudo: unable to execute {found}: {error.strerror}") from error


def _command(asked: _Asked, machine: Machine, shims: Path, path: str) -> tuple[str, list[str]]:
    """The program and its words. Raises _Unusable."""
    if asked.login or asked.shell:
        line = " ".join(_ESCAPED.sub(r"\\\1", word) for word in asked.words) or "exec bash --norc"
        # --noprofile: this system's /etc/profile is not the instance's, and has a PATH of its own.
        script = f"{_PROFILE if asked.login else ''}{line}"
        return _found("bash", machine, shims, path), ["bash", "--noprofile", "-c", script]
    return _found(asked.words[0], machine, shims, path), asked.words


def _found(name: str, machine: Machine, shims: Path, path: str) -> str:
    """Where the command is. Raises _Unusable."""
    folder, _, last = name.rpartition("/")
    if not folder or folder in _PLACES:
        shim = shims / last
        # In a shell on the machine the folder of this sudo has this system's programs as well.
        if _is_shim(shim):
            # What the simulator stands in for is there if a package has brought it.
            if machine.has(last):
                return os.fspath(shim)
            raise _Unusable(f"sudo: {name}: command not found")
    found = shutil.which(name, path=path)
    if found is None:
        raise _Unusable(f"sudo: {name}: command not found")
    return found


def _is_shim(path: Path) -> bool:
    try:
        return is_shim(path)
    except (FileNotFoundError, PermissionError):
        return False  # Ours may be read.


def _environment(
    asked: _Asked, machine: Machine, user: accounts.User, path: str, words: Sequence[str]
) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if asked.keeps or _KEPT.fullmatch(name)
    }
    caller = "root" if os.geteuid() == 0 else "ec2-user"
    number = 0 if caller == "root" else 1000
    return {
        "TERM": "unknown",
        **kept,
        VARIABLE: os.fspath(machine.path),
        "PATH": path,
        "HOME": os.fspath(machine.root / user.home.lstrip("/")),
        "SHELL": user.shell,
        "USER": user.name,
        "LOGNAME": user.name,
        "SUDO_COMMAND": " ".join(words),
        "SUDO_USER": caller,
        "SUDO_UID": str(number),
        "SUDO_GID": str(number),
        **asked.variables,
    }


def _read(arguments: Sequence[str], environ: Mapping[str, str]) -> _Asked:
    """Raises _Unusable."""
    asked = _Asked()
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name == "--preserve-env" and equals:
            names = value.split(",")
            asked.variables |= {one: environ[one] for one in names if one in environ}
        elif name in ("-u", "--user"):
            asked.user = value if equals else _value(rest)
        elif word.startswith("--"):
            _switch(asked, word)
        else:
            for index, letter in enumerate(word[1:], 2):
                if letter == "u":
                    asked.user = word[index:] or _value(rest)
                    break
                _switch(asked, letter)
    while rest and _ASSIGNMENT.match(rest[0]):
        name, _, value = rest.pop(0).partition("=")
        asked.variables[name] = value
    asked.words = rest
    if not rest and not (asked.login or asked.shell):
        raise _Unusable("usage: sudo [-EHinS] [-u user] [VAR=value] [-i | -s] [command [arg ...]]")
    return asked


def _value(rest: list[str]) -> str:
    if not rest:
        raise _Unusable("sudo: option requires an argument -- 'u'")
    return rest.pop(0)


def _switch(asked: _Asked, name: str) -> None:
    if name in _SWITCHES:
        setattr(asked, _SWITCHES[name], True)
    elif name not in _IGNORED:
        shown = name if name.startswith("-") else f"-{name}"
        raise _Unusable(
            f"sudo (attested-kms): the option {shown} is not simulated; those that are: -E, -H, "
            "-i, -n, -S, -s, -u USER",
            NO_MACHINE,
        )
