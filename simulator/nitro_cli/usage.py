"""Help and usage errors, worded as clap 4.5 words them.

Compared, by a script of many command lines, with a program of clap 4.5.51 (which v1.4.4 and
v1.5.0 lock) that has nitro-cli's options. Its colours on a terminal are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from simulator.nitro_cli.arguments import ABOUT, COMMANDS, HELP_COMMAND, NAME, Command, Option

HELP = Option(name="help", value=None, help="Print help")
VERSION = Option(name="version", value=None, help="Print version")

_WIDTH = 100
_BESIDE = 8
_NEXT_LINE_SHARE = 0.4


class UsageError(Exception):
    """A command line that is refused before anything happens; the text is for standard error."""


class Shown(Exception):
    """Help or version was asked for; the text is for standard output."""


def refused(message: str, usage: str | None, tip: str | None = None) -> UsageError:
    """The refusal of a command line."""
    parts = [f"error: {message}"]
    if tip is not None:
        parts.append(f"  tip: {tip}")
    if usage is not None:
        parts.append(f"Usage: {usage}")
    return UsageError("\n\n".join([*parts, "For more information, try '--help'."]))


def usage_of(command: Command | None, listed: Collection[Option] = ()) -> str:
    """The usage; one that lists options lists those that are always required, and these."""
    if command is None:
        return " ".join([NAME, *[option.shown for option in listed]]) if listed else _ROOT
    required = [option for option in command.options if option.required]
    words = [NAME, command.name]
    if not listed and len(required) < len(command.options):
        words.append("[OPTIONS]")
    return " ".join([*words, *(option.shown for option in dict.fromkeys([*required, *listed]))])


def help_of(command: Command | None) -> str:
    """What --help shows."""
    if command is None:
        commands = [(one.name, one.about) for one in (*COMMANDS, HELP_COMMAND)]
        options = [(_spelt(HELP), HELP.help), (_spelt(VERSION), VERSION.help)]
        return "\n".join(
            [
                f"{ABOUT}\n\nUsage: {usage_of(None)}\n",
                "Commands:",
                *_columns(commands, "  "),
                "",
                "Options:",
                *_columns(options, "  "),
            ]
        )
    if command is HELP_COMMAND:
        return _HELP_OF_HELP
    rows = [(_spelt(option), option.help) for option in (*command.options, HELP)]
    longest = max(len(option.shown) for option in command.options)
    return "\n".join(
        [
            f"{command.about}\n\nUsage: {usage_of(command)}\n",
            "Options:",
            *(_below(rows) if _too_wide(rows, longest) else _columns(rows, "  ")),
        ]
    )


_ROOT = f"{NAME} [COMMAND]"
_HELP_OF_HELP = f"""\
{HELP_COMMAND.about}

Usage: {NAME} help [COMMAND]...

Arguments:
  [COMMAND]...  Print help for the subcommand(s)"""


def _spelt(option: Option) -> str:
    short = "-h, " if option is HELP else "-V, " if option is VERSION else "    "
    return f"{short}{option.shown}"


def _too_wide(rows: Sequence[tuple[str, str]], longest: int) -> bool:
    """Whether clap puts each help on a line of its own."""
    taken = longest + _BESIDE
    widest = max(len(text) for _, text in rows)
    return taken / _WIDTH > _NEXT_LINE_SHARE and widest > _WIDTH - taken


def _columns(rows: Sequence[tuple[str, str]], indent: str) -> list[str]:
    width = max(len(name) for name, _ in rows)
    lines = [f"{indent}{name:{width}}  {text}" for name, text in rows]
    return [line.replace("\n", f"\n{' ' * (len(indent) + width + 2)}") for line in lines]


def _below(rows: Sequence[tuple[str, str]]) -> list[str]:
    return [f"  {name}\n          {text}" for name, text in rows]
