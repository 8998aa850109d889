"""docs/how-to/ssm.md is followed where jq is, from an empty folder."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from simulator.environment import without_aws
from simulator.nitro_cli.places import VARIABLE
from tests.interop.how_to import FOLDER, as_shown, follow, is_as_shown, read

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the instance's shell is Linux's")


def test_the_how_to_is_true(tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("not installed: jq")
    # Not in pytest's folder: the sockets in a machine's folder take a short path.
    with TemporaryDirectory(prefix="ssm-page-") as temporary:
        command = Path(temporary, "bin", "attested-kms")
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m simulator.cli "$@"\n')
        command.chmod(0o755)
        environment = {
            **without_aws(os.environ),
            "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            VARIABLE: str(Path(temporary, "machine")),
        }
        how_to = read(FOLDER / "ssm.md")
        assert len(how_to.steps) == 6
        steps = zip(follow(how_to, tmp_path, environment), as_shown(how_to), strict=True)
        for went, said in steps:
            assert is_as_shown(went.shown, said.shown), f"{went.commands}\n{went.shown}"
