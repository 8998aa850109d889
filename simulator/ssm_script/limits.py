"""The numbers that keep calls below the limits of Systems Manager, and how those are known."""

from __future__ import annotations

LINE_CHARACTERS = 3000
"""Of one string of `commands`. Reported: strings of a little more worked in the field notes; the
limit is unknown."""

CHUNK_CHARACTERS = 2900
"""Of base64 in one string: beside it are its number and its SHA-256."""

COMMAND_CHARACTERS = 48 * 1024
"""Of a command's Parameters, as JSON. Documented: 64 KB for the document with its parameters. A
quarter is left for the document's own text, and because how the service counts is unknown."""

SLICE_CHARACTERS = 22_000
"""Of output in base64 that one command prints. Documented: 24,000 characters are given back; the
lines around a slice take less than 500."""

SCRIPT_BYTES = 8 * 1024 * 1024
"""The longest script: then the numbers of all its parts still fit into one answer."""

OUTPUT_BYTES = 16 * 1024 * 1024
"""Output that is fetched without being asked for more."""

LEAST_TIMEOUT = 5
"""Seconds. Inferred: the agent makes an hour of less (pluginutil.go)."""

LONGEST_TIMEOUT = 172_800
"""Seconds. Documented: AWS-RunShellScript."""

DEFAULT_TIMEOUT = 3600
"""Seconds. Documented: AWS-RunShellScript's own."""

HELPER_TIMEOUT = 600
"""Seconds that a command may take which only brings or fetches bytes."""

DEFAULT_WAIT = 300
"""Seconds that the agent may take to take a command."""

LEAST_WAIT = 30
LONGEST_WAIT = 2_592_000
"""Documented: TimeoutSeconds of SendCommand."""

ROUNDS = 3
"""How often what is missing or damaged is sent, or fetched, in all."""

IN_FLIGHT = 4
"""Commands that bring or fetch bytes at a time. Inferred: the agent works at five."""
