"""Rust programs of AWS's NSM crate, the vsock crates and aws-sdk-kms under `attested-kms run`."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from tests.interop.enclave_programs import (
    BUILT,
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

WORKSPACE = PROGRAMS / "rust"
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"

pytestmark = pytest.mark.timeout(1800)  # aws-sdk-kms compiles for minutes.


def cargo(package: str, target: Path, *options: str, flags: str = "") -> None:
    """Build a package; if it has been built for somebody else it is there."""
    if BUILT in os.environ:
        return
    environment = {"CARGO_TARGET_DIR": str(target), "RUSTFLAGS": flags}
    command = ("cargo", "build", "--quiet", "--locked", "--package", package, *options)
    built(*command, folder=WORKSPACE, environment=environment)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where cargo builds."""
    need("cargo", "gcc")
    return place(tmp_path_factory, "rust")[0]


@pytest.fixture(scope="module", params=["dynamic", "static"])
def attest(request: pytest.FixtureRequest, target: Path) -> list[Path]:
    if request.param == "dynamic":
        cargo("attest", target)
        return [target / "debug" / "attest"]
    if BUILT in os.environ:
        return list(target.glob("*-*/debug/attest"))
    version = built("rustc", "--verbose", "--version", folder=target)
    (host,) = (line.split()[1] for line in version.splitlines() if line.startswith("host: "))
    # With --target the flags are not for procedural macros, which cannot be static.
    cargo("attest", target, "--target", host, flags="-C target-feature=+crt-static")
    return [target / host / "debug" / "attest"]


@pytest.fixture(scope="module")
def kms(target: Path) -> list[Path]:
    cargo("kms", target)
    return [target / "debug" / "kms"]


@pytest.mark.parametrize("how", ["dial", "dial-tokio"])
def test_it_attests_and_dials(attest: list[Path], how: str, tmp_path: Path) -> None:
    attests_and_dials(attest, how, tmp_path)


@pytest.mark.parametrize("how", ["dial", "dial-tokio"])
def test_it_is_told_that_nobody_listens(attest: list[Path], how: str, tmp_path: Path) -> None:
    is_told_that_nobody_listens(attest, how, tmp_path)


@pytest.mark.parametrize("how", ["listen", "listen-tokio"])
def test_it_listens(attest: list[Path], how: str) -> None:
    listens(attest, how)


def test_it_decrypts_over_its_own_tls(kms: list[Path]) -> None:
    decrypts(kms)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_its_mistakes_are_those_of_the_field_notes(kms: list[Path], mistake: str) -> None:
    is_refused(kms, mistake)


def test_it_is_what_was_published(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packages = tomllib.loads((WORKSPACE / "Cargo.lock").read_text())["package"]
    ours = [package for package in packages if "source" not in package]
    foreign = [package for package in packages if "source" in package]
    assert {package["source"] for package in foreign} == {CRATES_IO}
    used = {name.split()[0] for package in ours for name in package["dependencies"]}
    with capsys.disabled():
        print("\nRust:", built("rustc", "--version", folder=target).strip())
        for package in foreign:
            if package["name"] in used:
                print(f"  {package['name']} {package['version']} sha256:{package['checksum']}")
