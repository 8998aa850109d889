"""All checks, in the order in which to mend: the tables of the modules here, one for each area."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from simulator.doctor.model import Check

AREAS = (
    "packages",
    "driver",
    "toolchain",
    "allocator",
    "enclaves",
    "docker",
    "artifacts",
    "kernel",
    "vsock",
    "proxy",
    "harness",
    "clock",
    "credentials",
    "kms",
    "imds",
)
"""What comes first hides what comes later."""


def _tables() -> tuple[Check, ...]:
    there = {module.name for module in iter_modules(__path__)}
    modules = [import_module(f"{__name__}.{area}") for area in AREAS if area in there]
    return tuple(check for module in modules for check in module.CHECKS)


CHECKS: tuple[Check, ...] = _tables()
