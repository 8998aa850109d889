"""Values on command lines that several commands take."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A number of up to nine digits, above 0. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def cpus(text: str) -> tuple[int, ...]:
    """A list of CPUs as Linux writes them, ascending. Raises ArgumentTypeError."""
    from simulator.machine.cpu_list import BadCpuList, parse_cpu_list

    try:
        cpus = tuple(sorted(parse_cpu_list(text)))
    except BadCpuList:
        cpus = ()
    if not cpus:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of CPUs; give one like 1,3 or 2-5")
    return cpus
