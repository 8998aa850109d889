"""Programs by their names: which do something once and end, and which go into the background.

Knowledge of names, so that all that is concluded from it is `may` (source: their manuals).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from simulator.lint.shell_text import Command, Shell

_ONE_SHOT = """
true false echo printf date ls env printenv id whoami uname hostname pwd exit test [ cp mv rm
mkdir rmdir chmod chown ln touch ps df du export set unset cd : readonly umask ulimit source .
trap shift return mount umount modprobe sysctl ip ifconfig curl wget nslookup dig apt-get apk
dnf yum pip pip3 npm tar gzip gunzip head tail grep sed awk cut sort uniq wc seq dd base64
sha256sum md5sum stat file which type logger sync sleep adduser useradd
"""

ONE_SHOT = frozenset(_ONE_SHOT.split())
"""Of these each ends soon, however it is called, or is known to go on by `Shell.is_endless`."""

SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh", "busybox"})
INTERACTIVE = SHELLS | {"python", "python3", "node", "irb", "ghci", "php", "lua", "jshell", "psql"}
"""Without an argument that names a program these read commands from their standard input."""
INTERPRETERS = frozenset(
    {"python", "python3", "node", "nodejs", "ruby", "perl", "php", "bash", "sh", "deno", "bun"}
)
"""Their first argument that is no option is a file."""

_ONLY_ASKS = {"--version", "--help", "-V", "-version", "version", "help"}


def _has(*options: str) -> Callable[[Sequence[str]], bool]:
    return lambda words: any(word in options for word in words)


def _matches(pattern: str) -> Callable[[Sequence[str]], bool]:
    compiled = re.compile(pattern)
    return lambda words: bool(compiled.search(" ".join(words)))


_STAYS: dict[str, Callable[[Sequence[str]], bool]] = {
    "nginx": _matches(r"daemon\s+off"),
    "httpd": _matches(r"FOREGROUND|-X\b"),
    "apache2": _matches(r"FOREGROUND|-X\b"),
    "apachectl": _matches(r"FOREGROUND|-X\b"),
    "apache2ctl": _matches(r"FOREGROUND|-X\b"),
    "sshd": _has("-D", "-De", "-eD", "-d"),
    "cron": _has("-f"),
    "crond": _has("-f", "-n", "-d"),
    "supervisord": _has("-n", "--nodaemon"),
    "rsyslogd": _has("-n", "-nd", "-d"),
    "syslogd": _has("-n"),
    "syslog-ng": _has("-F", "--foreground"),
    "dnsmasq": _has("-k", "-d", "--keep-in-foreground", "--no-daemon"),
    "squid": _has("-N"),
    "php-fpm": _has("-F", "--nodaemonize"),
    "named": _has("-f", "-g"),
    "unbound": _has("-d"),
}
"""Daemons that go into the background unless they are told to stay."""

_LEAVES: dict[str, Callable[[Sequence[str]], bool]] = {
    "redis-server": _matches(r"--daemonize\s+yes"),
    "haproxy": _has("-D"),
    "memcached": _has("-d"),
    "gunicorn": _has("-D", "--daemon"),
    "uwsgi": _matches(r"--daemonize"),
    "mongod": _has("--fork"),
    "postfix": _has("start"),
    "service": _has("start", "restart"),
    "systemctl": _has("start", "restart", "enable"),
    "start-stop-daemon": _has("--background", "-b"),
    "daemonize": lambda _: True,
}
"""Programs that stay unless they are told to go into the background."""


def goes_into_background(command: Command) -> bool:
    """Whether the command is known to return while its program goes on."""
    name, words = command.name, command.words[1:]
    if name in _STAYS:
        return not _STAYS[name](words)
    return name in _LEAVES and _LEAVES[name](words)


def is_one_shot(command: Command) -> bool:
    """Whether the command does something and ends."""
    rest = command.words[1:]
    return command.name in ONE_SHOT or (len(rest) == 1 and rest[0] in _ONLY_ASKS)


def reads_the_console(command: Command) -> bool:
    """Whether it is a shell, or such, without a program to run."""
    rest = command.words[1:]
    if command.name not in INTERACTIVE:
        return False
    if command.name == "busybox":
        return not rest or (rest[0] in SHELLS and len(rest) == 1)
    return all(word in {"-i", "-l", "-il", "--login", "-u", "-q"} for word in rest)


def why_it_ends(shell: Shell) -> str | None:
    """Why a script is likely to end soon, in words; None if nothing says so."""
    if shell.is_endless or shell.ends_in_block or not shell.commands:
        return None
    last = shell.commands[-1]
    shown = " ".join(last.words)
    if last.background:
        return f"its last command, {shown}, is put into the background"
    if goes_into_background(last):
        return f"its last command, {shown}, goes into the background"
    if all(is_one_shot(command) for command in shell.commands):
        return f"{shown} does something once and ends" + (
            "" if len(shell.commands) == 1 else ", as all before it do"
        )
    if is_one_shot(last) and any(
        command.background or goes_into_background(command) for command in shell.commands
    ):
        return f"it ends with {shown}, while what it started is in the background"
    return None
