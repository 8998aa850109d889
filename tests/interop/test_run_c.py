"""A C program of system calls alone under `attested-kms run`, with each C library there is.

A static one and one of musl show that nothing hangs on the dynamic linker or on glibc.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.enclave_programs import (
    PROGRAMS,
    attests_and_dials,
    built,
    is_told_that_nobody_listens,
    listens,
    need,
    place,
)

SOURCE = PROGRAMS / "c" / "enclave.c"
COMPILERS = {
    "glibc": ("gcc",),
    "glibc-static": ("gcc", "-static"),
    "musl": ("musl-gcc",),
    "musl-static": ("musl-gcc", "-static"),
}


@pytest.fixture(scope="module", params=COMPILERS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    compiler, *flags = COMPILERS[request.param]
    need(compiler)
    folder, is_built = place(tmp_path_factory, f"c-{request.param}")
    if not is_built:
        warnings = ("-Wall", "-Wextra", "-Werror")
        options = (*flags, "-std=c17", *warnings)
        built(compiler, *options, "-o", folder / "enclave", SOURCE, folder=folder)
    return [folder / "enclave"]


@pytest.mark.parametrize("options", [(), ("--cid", "20"), ("--no-isolate",)], ids=" ".join)
def test_it_attests_and_dials(
    program: list[Path], options: tuple[str, ...], tmp_path: Path
) -> None:
    attests_and_dials(program, "dial", tmp_path, *options)


def test_it_is_told_that_nobody_listens(program: list[Path], tmp_path: Path) -> None:
    is_told_that_nobody_listens(program, "dial", tmp_path)


def test_it_listens(program: list[Path]) -> None:
    listens(program, "listen")


def test_its_compiler(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    need("gcc")
    with capsys.disabled():
        print(f"\nC: {built('gcc', '--version', folder=tmp_path).splitlines()[0]}")
