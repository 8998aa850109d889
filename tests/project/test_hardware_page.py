"""docs/reference/hardware.md names the options and capabilities that there are."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from real_hw import dry_run
from real_hw.settings import CPUS, DELETION_DAYS, MEMORY_MIB
from real_hw.target import HardwareTarget
from scenarios.target import Capability
from simulator.commands.hardware_commands import clean

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "hardware.md"


@pytest.fixture(scope="module")
def text() -> str:
    return " ".join(PAGE.read_text().split())


def options(section: str) -> set[str]:
    """The options in the first column of its tables."""
    rows = re.findall(r"\| `(--[a-z-]+)[^|]*\|", section)
    return set(rows)


def test_the_options_of_clean(text: str) -> None:
    parser = argparse.ArgumentParser(add_help=False)
    clean.configure(parser)
    there = {name for action in parser._actions for name in action.option_strings}
    section = text.partition("## attested-kms hardware clean")[2].partition("## Exit codes")[0]
    assert options(section) == there


def test_the_options_of_the_suite(text: str) -> None:
    parser = pytest.Parser(_ispytest=True)
    dry_run.add_options(parser)
    there = {name for option in parser._anonymous.options for name in option.names()}
    section = text.partition("## Options")[2].partition("## The plan")[0]
    assert there < options(section)


def test_what_the_target_lacks(text: str) -> None:
    [sentence] = re.findall(r"This target lacks ([a-z, -]+)\.", text)
    lacking = {one.value for one in frozenset(Capability) - HardwareTarget.capabilities}
    assert set(re.split(r", | and ", sentence)) == lacking


def test_the_numbers(text: str) -> None:
    assert f"of the suite's enclave ({CPUS}; {MEMORY_MIB})" in text
    assert f"scheduled for deletion in {DELETION_DAYS} days" in text
