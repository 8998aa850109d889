"""Reading a command line as clap 4.5 reads it for nitro-cli.

Nothing is looked at but the words: what a number or a path must be is found later, by the command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from simulator.nitro_cli.arguments import COMMANDS, HELP_COMMAND, Command, Option, command, names
from simulator.nitro_cli.similarity import similar
from simulator.nitro_cli.usage import (
    HELP,
    VERSION,
    Shown,
    UsageError,
    help_of,
    refused,
    usage_of,
)

_SHORT = {"h": HELP, "V": VERSION}


@dataclass(frozen=True, slots=True)
class Given:
    """A command and the options that were given to it."""

    command: str
    options: Mapping[str, tuple[str, ...]]
    """The values by the option's name; a flag has none."""

    def __contains__(self, name: str) -> bool:
        return name in self.options

    def text(self, name: str) -> str | None:
        """The value of an option that takes one; None if it was not given."""
        return self.options[name][0] if name in self.options else None


def read(words: Sequence[str], version: str) -> Given:
    """What a command line asks for. Raises UsageError, and Shown for help and version."""
    if not words:
        raise UsageError(help_of(None))
    for index, word in enumerate(words):
        if word == "--":
            break
        if _is_option(word):
            _root_option(word, words[index + 1 :], version)
        elif word == HELP_COMMAND.name:
            raise Shown(_help(words[index + 1 :]))
        elif (found := command(word)) is not None:
            return _Reading(found).read(words[index + 1 :])
        else:
            raise _no_command(word)
    return _after_dashes(words)


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"


def _is_text(word: str) -> bool:
    """Whether it was UTF-8: what is not, Python has half surrogate pairs for."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


def _root_option(word: str, rest: Sequence[str], version: str) -> None:
    """An option before the command: it shows something, or is refused."""
    found, value = _look_up(word, (HELP, VERSION))
    if found is None:
        raise _unknown(None, word, (), rest)
    if value is not None:
        raise _no_value_wanted(None, (), found, value)
    raise Shown(help_of(None) if found is HELP else f"Nitro CLI {version}")


def _after_dashes(words: Sequence[str]) -> Given:
    """After `--` there is no command any more."""
    surplus = words[words.index("--") + 1 :]
    if not surplus:
        raise UsageError(help_of(None))
    word = surplus[0]
    is_command = word in names()
    if similar(word, names()) and not is_command:
        raise _no_command(word)
    tip = f"subcommand '{word}' exists; to use it, remove the '--' before it"
    raise refused(
        f"unexpected argument '{word}' found", usage_of(None), tip if is_command else None
    )


def _help(words: Sequence[str]) -> str:
    """`nitro-cli help ...`."""
    found: Command | None = None
    for word in words:
        below = None if found is not None else command(word)
        if found is None and word == HELP_COMMAND.name:
            below = HELP_COMMAND
        if below is None:
            raise refused(f"unrecognized subcommand '{word}'", usage_of(found))
        found = below
    return help_of(found)


def _no_command(word: str) -> UsageError:
    message = f"unrecognized subcommand '{word}'"
    like = similar(word, names())
    if not like:
        return refused(message, usage_of(None))
    listed = ", ".join(f"'{name}'" for name in like)
    what = "a similar subcommand exists" if len(like) == 1 else "some similar subcommands exist"
    return refused(message, usage_of(None), f"{what}: {listed}")


def _look_up(word: str, options: Sequence[Option]) -> tuple[Option | None, str | None]:
    """The option that a word names, and the value after its `=`."""
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        found = next((option for option in options if option.name == name), None)
        return found, value if equals else None
    found = _SHORT.get(word[1])
    return found if found in options else None, None


def _unknown(
    asked: Command | None, word: str, before: Sequence[Option], rest: Sequence[str]
) -> UsageError:
    """The refusal of an option that the command has not, with what may have been meant."""
    if not word.startswith("--"):
        return refused(f"unexpected argument '{word[:2]}' found", usage_of(asked))
    name = word.partition("=")[0]
    options = (HELP, VERSION) if asked is None else (*asked.options, HELP)
    message = f"unexpected argument '{name}' found"
    like = similar(name[2:], [option.name for option in options])
    if like:
        meant = next(option for option in options if option.name == like[-1])
        meaning = f"a similar argument exists: '--{meant.name}'"
        return refused(message, usage_of(asked, [*before, meant]), meaning)
    tip = _in_a_command(name[2:], rest) if asked is None else None
    return refused(message, usage_of(asked, before), tip)


def _in_a_command(name: str, rest: Sequence[str]) -> str | None:
    """The tip that one of the commands which follow has such an option."""
    found = [
        (rest.index(one.name), f"'{one.name} --{like[-1]}' exists")
        for one in COMMANDS
        if one.name in rest
        and (like := similar(name, [option.name for option in (*one.options, HELP)]))
    ]
    return min(found)[1] if found else None


def _no_value_wanted(
    asked: Command | None, before: Sequence[Option], option: Option, value: str
) -> UsageError:
    return refused(
        f"unexpected value '{value}' for '{option.shown}' found; no more were expected",
        usage_of(asked, dict.fromkeys([*before, option])),
    )


@dataclass(slots=True)
class _Reading:
    """The options of one command, as they are read."""

    command: Command
    given: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pending: Option | None = None
    values: list[str] = field(default_factory=list)

    def read(self, words: Sequence[str]) -> Given:
        rest = iter(words)
        for word in rest:
            if word == "--":
                for surplus in rest:
                    raise self._surplus(surplus)
            elif _is_option(word):
                self._option(word)
            elif self.pending is not None and (self.pending.many or not self.values):
                self.values.append(word)
            else:
                raise self._surplus(word)
        self._finish()
        self._check_conflicts()
        self._check_required()
        return Given(self.command.name, self.given)

    def _surplus(self, word: str) -> UsageError:
        return refused(f"unexpected argument '{word}' found", usage_of(self.command))

    def _option(self, word: str) -> None:
        found, value = _look_up(word, (*self.command.options, HELP))
        if found is None:
            with suppress(UsageError):
                self._finish()
            raise _unknown(self.command, word, [*self._options()], ())
        if found.value is None and value is not None:
            raise _no_value_wanted(self.command, [*self._options()], found, value)
        self._finish()
        if found is HELP:
            raise Shown(help_of(self.command))
        if found.value is None:
            self._take(found, ())
        elif value is not None:
            self._take(found, (value,))
        else:
            self.pending = found

    def _finish(self) -> None:
        """The option whose values were read has them all."""
        option, values = self.pending, tuple(self.values)
        if option is None:
            return
        self.pending, self.values = None, []
        if not values:
            raise refused(f"a value is required for '{option.shown}' but none was supplied", None)
        self._take(option, values)

    def _take(self, option: Option, values: tuple[str, ...]) -> None:
        if self.given.pop(option.name, None) is not None:
            raise refused(
                f"the argument '{option.shown}' cannot be used multiple times",
                usage_of(self.command),
            )
        self.given[option.name] = values
        if not all(_is_text(value) for value in values):
            raise refused(
                "invalid UTF-8 was detected in one or more arguments", usage_of(self.command)
            )

    def _options(self) -> Iterator[Option]:
        """Those that were given, in their order."""
        for name in self.given:
            option = self.command.option(name)
            if option is not None:
                yield option

    def _check_conflicts(self) -> None:
        for option in self._options():
            against = [
                other
                for other in self._options()
                if other is not option and self.command.conflicts(option.name, other.name)
            ]
            if against:
                raise self._conflict(option, against)

    def _conflict(self, option: Option, against: Sequence[Option]) -> UsageError:
        if len(against) == 1:
            others = f" '{against[0].shown}'"
        else:
            others = ":" + "".join(f"\n  {other.shown}" for other in against)
        kept = [other for other in self._options() if other not in against]
        return refused(
            f"the argument '{option.shown}' cannot be used with{others}",
            usage_of(self.command, kept),
        )

    def _check_required(self) -> None:
        missing = [option for option in self.command.options if self._is_missing(option)]
        if missing:
            listed = "".join(f"\n  {option.shown}" for option in missing)
            raise refused(
                f"the following required arguments were not provided:{listed}",
                usage_of(self.command, [*self._together(), *self._options(), *missing]),
            )

    def _together(self) -> Iterator[Option]:
        """The options that require another, each before what it requires."""
        for option in self._options():
            required = self.command.option(option.requires or "")
            if required is not None:
                yield from (option, required)

    def _is_missing(self, option: Option) -> bool:
        if option.name in self.given:
            return False
        asked_for = any(other.requires == option.name for other in self._options())
        unless = option.required_unless
        return (
            option.required
            or asked_for
            or (bool(unless) and not any(name in self.given for name in unless))
        )
