"""./toxw on machines that lack something: one clear sentence with the command that helps."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

OLD = """#!/bin/sh
case "$2" in
    *python_version*) echo 3.9.25 ;;
    *version_info*) exit 1 ;;
esac
"""
WITHOUT_VENV = """#!/bin/sh
case "$2" in
    *python_version*) echo 3.12.3 ;;
    *ensurepip*) echo "No module named ensurepip" >&2; exit 1 ;;
esac
"""
BROKEN = """#!/bin/sh
echo "command not found" >&2
exit 127
"""


def run(tmp_path: Path, **pythons: str) -> subprocess.CompletedProcess[str]:
    """A copy of toxw, with nothing on PATH but sh's own tools and these programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "cat", "dirname", "rm"):
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    for name, script in pythons.items():
        path = folder / name.replace("_", ".")
        path.write_text(script)
        path.chmod(0o755)
    shutil.copy(ROOT / "toxw", tmp_path / "toxw")
    return subprocess.run(
        [str(tmp_path / "toxw"), "-e", "sim"],
        env={**os.environ, "PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("pythons", "said"),
    [
        ({}, ["a Python >= 3.11 is needed", "none was found"]),
        ({"python3": OLD}, ["a Python >= 3.11 is needed", "python3 is 3.9.25"]),
        ({"python3_12": BROKEN, "python3": OLD}, ["a Python >= 3.11 is needed"]),
        ({"python3_12": WITHOUT_VENV}, ["python3.12 cannot make virtual environments"]),
        ({"python3_12": WITHOUT_VENV, "python3": OLD}, ["python3.12-venv"]),
    ],
    ids=["no Python", "an old one", "a broken one", "no venv", "no venv and an old one"],
)
def test_a_machine_without_a_fit_python(
    tmp_path: Path, pythons: dict[str, str], said: list[str]
) -> None:
    result = run(tmp_path, **pythons)
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    for text in [*said, "sudo apt install", "sudo dnf install"]:
        assert text in result.stderr


def test_it_is_a_plain_posix_script() -> None:
    shell = shutil.which("dash") or shutil.which("sh")
    assert shell
    subprocess.run([shell, "-n", str(ROOT / "toxw")], check=True)
    assert (ROOT / "toxw").stat().st_mode & 0o111
