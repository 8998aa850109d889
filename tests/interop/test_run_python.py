"""Python programs of aws-nsm-interface, asyncio and boto3 under `attested-kms run`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.interop.enclave_programs import (
    MISTAKES,
    PROGRAMS,
    attests_and_dials,
    built,
    decrypts,
    is_refused,
    is_told_that_nobody_listens,
    listens,
    place,
)

FOLDER = PROGRAMS / "python"

pytestmark = pytest.mark.timeout(300)  # The first test installs packages.


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has what the programs need, and nothing of ours."""
    folder, is_built = place(tmp_path_factory, "python")
    interpreter = folder / "environment" / "bin" / "python"
    if not is_built:
        built(sys.executable, "-m", "venv", "environment", folder=folder)
        install = ("-m", "pip", "install", "--quiet", "--requirement", FOLDER / "requirements.txt")
        built(interpreter, *install, folder=folder)
    return interpreter


@pytest.fixture
def attest(python: Path) -> list[Path]:
    return [python, FOLDER / "attest.py"]


@pytest.fixture
def kms(python: Path) -> list[Path]:
    return [python, FOLDER / "kms.py"]


@pytest.mark.parametrize("how", ["dial", "dial-asyncio"])
def test_it_attests_and_dials(attest: list[Path], how: str, tmp_path: Path) -> None:
    attests_and_dials(attest, how, tmp_path)


@pytest.mark.parametrize("how", ["dial", "dial-asyncio"])
def test_it_is_told_that_nobody_listens(attest: list[Path], how: str, tmp_path: Path) -> None:
    is_told_that_nobody_listens(attest, how, tmp_path)


@pytest.mark.parametrize("how", ["listen", "listen-asyncio"])
def test_it_listens(attest: list[Path], how: str) -> None:
    listens(attest, how)


def test_it_decrypts_over_its_own_tls(kms: list[Path]) -> None:
    decrypts(kms)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_its_mistakes_are_those_of_the_field_notes(kms: list[Path], mistake: str) -> None:
    is_refused(kms, mistake)


def test_it_is_what_was_published(python: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed = built(python, "-m", "pip", "freeze", folder=FOLDER).splitlines()
    assert set((FOLDER / "requirements.txt").read_text().splitlines()) <= set(installed)
    with capsys.disabled():
        print(f"\nPython {sys.version.split()[0]}: {', '.join(installed)}")
