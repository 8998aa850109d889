"""The proxy's command line, read and refused as clap 4.5 reads and refuses it.

Compared, line by line, with vsock-proxy 1.0.1 built from v1.4.4. What a number must be is found
later (`simulator.vsock_proxy.main`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from simulator.nitro_cli.similarity import similar
from simulator.nitro_cli.usage import Shown, UsageError, refused
from simulator.vsock_proxy.shipped import CONFIGURATION

_NAME = "vsock-proxy"
_PLACES = ("<local_port>", "<remote_addr>", "<remote_port>")
_VERSION = "Vsock-TCP proxy 1.0.1"
_HELP = f"""\
Vsock-TCP proxy

Usage: vsock-proxy [OPTIONS] <local_port> <remote_addr> <remote_port>

Arguments:
  <local_port>   Local Vsock port to listen for incoming connections.
  <remote_addr>  Address of the server to be proxyed.
  <remote_port>  Remote TCP port of the server to be proxyed.

Options:
  -4, --ipv4                   Force the proxy to use IPv4 addresses only.
  -6, --ipv6                   Force the proxy to use IPv6 addresses only.
  -w, --num_workers <workers>  Set the maximum number of simultaneous
                               connections supported. [default: 4]
      --config <config_file>   YAML file containing the services that
                               can be forwarded.
                                [default: {CONFIGURATION}]
  -h, --help                   Print help
  -V, --version                Print version"""


@dataclass(frozen=True, slots=True)
class _Option:
    name: str
    short: str = ""
    value: str = ""

    @property
    def shown(self) -> str:
        return f"--{self.name} <{self.value}>" if self.value else f"--{self.name}"


_HELP_OPTION = _Option("help", "h")
_VERSION_OPTION = _Option("version", "V")
_OPTIONS = (
    _Option("ipv4", "4"),
    _Option("ipv6", "6"),
    _Option("num_workers", "w", "workers"),
    _Option("config", value="config_file"),
    _HELP_OPTION,
    _VERSION_OPTION,
)


@dataclass(frozen=True, slots=True)
class Given:
    """A command line that clap takes."""

    local_port: str
    remote_addr: str
    remote_port: str
    ipv4: bool
    ipv6: bool
    workers: str
    config: str


def read(words: Sequence[str]) -> Given:
    """What the words ask for. Raises UsageError, and Shown for help and version."""
    return _Reading().read(words)


@dataclass(slots=True)
class _Reading:
    """What was read so far."""

    places: list[str] = field(default_factory=list)
    given: dict[_Option, str] = field(default_factory=dict)

    def read(self, words: Sequence[str]) -> Given:
        rest = iter(words)
        for word in rest:
            if word == "--":
                for place in rest:
                    self._place(place)
            elif word.startswith("--"):
                self._long(word, rest)
            elif word.startswith("-") and word != "-":
                self._shorts(word[1:], rest)
            else:
                self._place(word)
        return self._finished()

    def _place(self, word: str) -> None:
        if len(self.places) == len(_PLACES):
            raise refused(f"unexpected argument '{word}' found", _usage())
        self.places.append(_checked(word))

    def _long(self, word: str, rest: Iterator[str]) -> None:
        name, equals, value = word[2:].partition("=")
        option = next((one for one in _OPTIONS if one.name == name), None)
        if option is None:
            raise self._unknown(f"--{name}")
        if equals and not option.value:
            raise refused(
                f"unexpected value '{value}' for '{option.shown}' found; no more were expected",
                _usage([option]),
            )
        self._take(option, value if equals else None, rest)

    def _shorts(self, letters: str, rest: Iterator[str]) -> None:
        """`-4w3`: flags, and at most one value at the end."""
        while letters:
            letter, letters = letters[0], letters[1:]
            option = next((one for one in _OPTIONS if one.short == letter), None)
            if option is None:
                raise self._unknown(f"-{letter}")
            if option.value:
                self._take(option, letters.removeprefix("=") if letters else None, rest)
                return
            self._take(option, None, rest)

    def _take(self, option: _Option, value: str | None, rest: Iterator[str]) -> None:
        if option is _HELP_OPTION:
            raise Shown(_HELP)
        if option is _VERSION_OPTION:
            raise Shown(_VERSION)
        if option.value and value is None:
            value = next(rest, "--")
            if value.startswith("-") and value != "-":
                raise refused(
                    f"a value is required for '{option.shown}' but none was supplied", None
                )
        if option in self.given:
            raise refused(f"the argument '{option.shown}' cannot be used multiple times", _usage())
        self.given[option] = _checked(value or "")

    def _unknown(self, word: str) -> UsageError:
        like = similar(word[2:], [one.name for one in _OPTIONS]) if word.startswith("--") else []
        message = f"unexpected argument '{word}' found"
        if like:
            meant = next(one for one in _OPTIONS if one.name == like[-1])
            usage = _usage(dict.fromkeys([*self.given, meant]))
            return refused(message, usage, f"a similar argument exists: '--{meant.name}'")
        tip = f"to pass '{word}' as a value, use '-- {word}'"
        return refused(message, _usage(self.given if word.startswith("--") else ()), tip)

    def _finished(self) -> Given:
        versions = [option for option in self.given if not option.value]
        if len(versions) == 2:
            one, other = versions
            kept = [option for option in self.given if option is not other]
            raise refused(
                f"the argument '{one.shown}' cannot be used with '{other.shown}'", _usage(kept)
            )
        if len(self.places) < len(_PLACES):
            listed = "".join(f"\n  {place}" for place in _PLACES[len(self.places) :])
            message = f"the following required arguments were not provided:{listed}"
            usage = " ".join([_NAME, *(option.shown for option in self.given), *_PLACES])
            raise refused(message, usage)
        values = {option.name: value for option, value in self.given.items()}
        local_port, remote_addr, remote_port = self.places
        return Given(
            local_port,
            remote_addr,
            remote_port,
            ipv4="ipv4" in values,
            ipv6="ipv6" in values,
            workers=values.get("num_workers", "4"),
            config=values.get("config", CONFIGURATION),
        )


def _usage(listed: Sequence[_Option] | dict[_Option, str] | dict[_Option, None] = ()) -> str:
    options = [option.shown for option in listed] or ["[OPTIONS]"]
    return " ".join([_NAME, *options, *_PLACES])


def _checked(word: str) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in word):
        raise refused("invalid UTF-8 was detected in one or more arguments", _usage())
    return word
