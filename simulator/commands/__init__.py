"""The subcommands of `attested-kms`, one module each.

A module has the text HELP (one line for the list of commands), `configure(parser)`, which adds its
arguments, and `run(options)`, which does the work and returns the exit code. What takes time to
import is imported by `run`, so that `--help` answers at once.
"""

from __future__ import annotations

import sys


class CommandFailed(Exception):
    """A command cannot do what it was asked: the message is a sentence for the user.

    It says what is wrong and what to do; `exit_code` is 1 for a failure, 2 for wrong usage or
    unreadable input.
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def show(line: str) -> None:
    """Print one line at once, also where the output is a pipe. Raises CommandFailed."""
    try:
        print(line, flush=True)
    except UnicodeEncodeError as error:
        # A file's name that is no text, or a terminal that has other letters.
        print(line.encode(error.encoding, "backslashreplace").decode(error.encoding), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        # What could not be written would be tried once more at the end.
        sys.stdout = None  # As where it is closed from the start.
        raise CommandFailed(f"Standard output cannot be written ({error.strerror}).") from error
