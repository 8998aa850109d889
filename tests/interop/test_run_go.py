"""Static Go programs of hf/nsm, mdlayher/vsock and aws-sdk-go-v2 under `attested-kms run`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.interop.enclave_programs import (
    CID,
    MISTAKES,
    PROGRAMS,
    attests_and_dials,
    built,
    decrypts,
    is_refused,
    is_told_that_nobody_listens,
    listens,
    need,
    place,
)

MODULE = PROGRAMS / "go"

pytestmark = pytest.mark.timeout(900)  # The first test compiles the SDK.


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the two programs."""
    need("go")
    folder, is_built = place(tmp_path_factory, "go")
    if not is_built:
        command = ("go", "build", "-mod=readonly", "-o", f"{folder}{os.sep}", "./...")
        built(*command, folder=MODULE, environment={"CGO_ENABLED": "0"})
    return folder


@pytest.fixture
def attest(programs: Path) -> list[Path]:
    return [programs / "attest"]


@pytest.fixture
def kms(programs: Path) -> list[Path]:
    return [programs / "kms"]


def test_it_attests_and_dials(attest: list[Path], tmp_path: Path) -> None:
    attests_and_dials(attest, "dial", tmp_path)


def test_it_is_told_that_nobody_listens(attest: list[Path], tmp_path: Path) -> None:
    is_told_that_nobody_listens(attest, "dial", tmp_path)


def test_it_listens(attest: list[Path]) -> None:
    # mdlayher/vsock asks /dev/vsock for its CID and shows that.
    listens(attest, "listen", bound_cid=CID)


def test_it_decrypts_over_its_own_tls(kms: list[Path]) -> None:
    decrypts(kms)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_its_mistakes_are_those_of_the_field_notes(kms: list[Path], mistake: str) -> None:
    is_refused(kms, mistake)


def test_it_is_what_was_published(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = built(
        "go", "list", "-m", "-f", "{{if not .Indirect}}{{.}}{{end}}", "all", folder=MODULE
    )
    sums = (MODULE / "go.sum").read_text().splitlines()
    used = [line for line in listed.splitlines() if " " in line]
    pinned = [line for line in sums if line.rpartition(" ")[0] in used]
    assert len(pinned) == len(used) > 0
    assert "all modules verified" in built("go", "mod", "verify", folder=MODULE)
    with capsys.disabled():
        print("\nGo, static:", built("go", "version", folder=programs).strip())
        print("\n".join(f"  {line}" for line in pinned))
