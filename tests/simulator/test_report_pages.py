"""docs/reference/report.md and fidelity.md are followed, each in an empty folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from simulator.environment import without_aws
from tests.interop.how_to import as_shown, follow, is_as_shown, read

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["report", "fidelity"])
def test_a_reference_is_true(name: str, tmp_path: Path) -> None:
    command = tmp_path / "bin" / "attested-kms"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m simulator.cli "$@"\n')
    command.chmod(0o755)
    environment = {
        **without_aws(os.environ),
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    folder = tmp_path / "folder"
    folder.mkdir()
    page = read(ROOT / "docs" / "reference" / f"{name}.md")
    steps = zip(follow(page, folder, environment), as_shown(page), strict=True)
    for went, said in steps:
        assert is_as_shown(went.shown, said.shown), f"{went.commands}\n{went.shown}"
