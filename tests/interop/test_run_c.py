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
    target = tmp_path_factory.mktemp(request.param) / "enclave"
    warnings = ("-Wall", "-Wextra", "-Werror")
    built(compiler, *flags, "-std=c17", *warnings, "-o", target, SOURCE, folder=target.parent)
    return [target]


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
