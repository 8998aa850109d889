"""How long a run on hardware may take and what it may cost, before anything is made.

The counts are those of the plan. The seconds are guesses: no run on hardware has been measured
(evidence unknown). The prices are on-demand prices in us-east-1 as AWS published them in 2025
(documented: the pricing pages of Amazon EC2 and of AWS KMS); other regions differ by some per cent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

OPENING_SECONDS = 180.0
"""Container image, enclave image, checks."""
BOOT_SECONDS = 40.0
KEY_SECONDS = 10.0
"""Until a new key's policy answers the same several times over."""
COMMAND_SECONDS = 8.0
"""A nitro-cli command of a scenario: some build an image, some boot it."""
REQUEST_SECONDS = 0.3

INSTANCE_DOLLARS_PER_HOUR = 0.192
"""m6i.xlarge, Linux, on demand."""
KEY_DOLLARS_PER_HOUR = 1 / 730
"""A dollar a month, by the hour; nothing while it waits for its deletion."""
REQUEST_DOLLARS = 0.03 / 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What there is of each in a run."""

    boots: int = 0
    keys: int = 0
    commands: int = 0
    requests: int = 0
    waited_seconds: float = 0.0
    """What scenarios let pass."""


def seconds(counts: Counts) -> float:
    """How long all of it may take."""
    return (
        OPENING_SECONDS
        + counts.boots * BOOT_SECONDS
        + counts.keys * KEY_SECONDS
        + counts.commands * COMMAND_SECONDS
        + counts.requests * REQUEST_SECONDS
        + counts.waited_seconds
    )


def dollars(counts: Counts) -> float:
    """What all of it may cost: instances are billed by the second, keys by the hour begun."""
    exact = seconds(counts) / 3600
    hours = math.ceil(exact)
    return (
        exact * INSTANCE_DOLLARS_PER_HOUR
        + counts.keys * hours * KEY_DOLLARS_PER_HOUR
        + counts.requests * REQUEST_DOLLARS
    )


def as_text(counts: Counts) -> Iterator[str]:
    """Both in words, with what they are made of."""
    minutes = math.ceil(seconds(counts) / 60)
    yield (
        f"time  about {minutes} minutes: {counts.boots} boots, {counts.keys} keys whose policies "
        f"must arrive, {counts.commands} nitro-cli commands of scenarios, "
        f"{counts.waited_seconds:.0f} seconds that scenarios let pass"
    )
    yield (
        f"cost  about ${dollars(counts):.2f}: an m6i.xlarge for that time, {counts.keys} keys by "
        f"the hour until they are scheduled for deletion, {counts.requests} requests to KMS"
    )
    yield "Guessed: no run on hardware has been measured, and prices are those of us-east-1, 2025."
