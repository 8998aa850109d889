"""Fixtures that tests of the simulator share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator.nitro_cli_world import World, world
from tests.simulator.supervised import rung

__all__ = ["machine", "rung"]


@pytest.fixture
def machine(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A parent instance whose broker says what a test wrote."""
    with world(tmp_path / "machine", capfd, monkeypatch) as made:
        yield made
