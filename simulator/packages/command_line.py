"""The words of `dnf`: options before and after the command, as argparse takes them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_WITH_VALUE = frozenset(
    [
        "-c",
        "--config",
        "-d",
        "-e",
        "-R",
        "-x",
        "--debuglevel",
        "--errorlevel",
        "--installroot",
        "--enableplugin",
        "--disableplugin",
        "--releasever",
        "--setopt",
        "--enablerepo",
        "--disablerepo",
        "--repo",
        "--repoid",
        "--exclude",
        "--excludepkgs",
        "--color",
        "--comment",
        "--forcearch",
    ]
)
_WITHOUT_EFFECT = frozenset(
    [
        "-v",
        "-b",
        "-C",
        "-4",
        "-6",
        "--verbose",
        "--best",
        "--nobest",
        "--allowerasing",
        "--nogpgcheck",
        "--refresh",
        "--nodocs",
        "--noplugins",
        "--cacheonly",
        "--security",
        "--noautoremove",
    ]
)
_SWITCHES = {
    "-y": "yes",
    "--assumeyes": "yes",
    "--assumeno": "no",
    "-q": "quiet",
    "--quiet": "quiet",
    "--skip-broken": "lenient",
    "--version": "version",
    "-h": "help",
    "--help": "help",
    "--installed": "installed",
}
_NEED_NAMES = frozenset({"install", "reinstall"})
_FALSE = frozenset({"0", "false", "no", "off"})


class Unusable(Exception):
    """Words that dnf does not take; the message is what it says."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(slots=True)
class Asked:
    """One command line."""

    command: str = ""
    names: list[str] = field(default_factory=list)
    yes: bool = False
    no: bool = False
    quiet: bool = False
    lenient: bool = False
    """What cannot be installed is left out."""
    version: bool = False
    help: bool = False
    installed: bool = False
    """`list --installed`."""


def read(words: Sequence[str]) -> Asked:
    """Raises Unusable."""
    asked = Asked()
    given: list[str] = []
    unknown: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, has_value, value = word.partition("=")
        if word == "--":
            given += rest
            break
        if word in _SWITCHES:
            setattr(asked, _SWITCHES[word], True)
        elif name in _WITH_VALUE:
            _set(asked, name, value if has_value else _next(name, rest))
        elif len(word) > 2 and word[0] == "-" and word[1] != "-":
            # Short ones stand together: -qy.
            rest = [f"-{letter}" for letter in word[1:]] + rest
        elif word.startswith("-") and word not in _WITHOUT_EFFECT:
            unknown.append(word)
        elif not word.startswith("-"):
            given.append(word)
    asked.command, asked.names = (given[0], given[1:]) if given else ("", [])
    _check(asked, unknown)
    return asked


def _check(asked: Asked, unknown: Sequence[str]) -> None:
    if asked.help:
        return
    program = f"dnf {asked.command}".strip()
    if asked.command in _NEED_NAMES and not asked.names:
        raise Unusable(f"{program}: error: the following arguments are required: PACKAGE")
    if unknown:
        raise Unusable(f"{program}: error: unrecognized arguments: {' '.join(unknown)}")


def _next(name: str, rest: list[str]) -> str:
    if not rest:
        raise Unusable(f"Command line error: argument {name}: expected one argument", exit_code=1)
    return rest.pop(0)


def _set(asked: Asked, name: str, value: str) -> None:
    """--skip-broken is another word for the setting strict=0."""
    key, _, text = value.partition("=")
    if name == "--setopt" and key.strip() == "strict":
        asked.lenient = text.strip().lower() in _FALSE
