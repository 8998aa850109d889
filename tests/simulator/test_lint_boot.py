"""What `attested-kms lint` foretells of a boot is what the boot shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.lint.boot_report import Outcome
from tests.simulator.booted import Image, output, shell_files
from tests.simulator.lint_world import linted

_TIME = re.compile(r"^\[ *\d+\.\d+\] ")
SHELL = ("/bin/sh", "-c")
NO_LOADER = re.compile(r"lib.*/ld-")


def with_files(**files: bytes) -> dict[str, bytes]:
    return shell_files() | {name.replace("_", "/"): content for name, content in files.items()}


def without(pattern: re.Pattern[str]) -> dict[str, bytes]:
    return {name: content for name, content in shell_files().items() if not pattern.search(name)}


@pytest.mark.parametrize(
    ("image", "outcome"),
    [
        (Image(command=("--mode", "vsock")), Outcome.NOT_STARTED),
        (Image(command=("./app",)), Outcome.NOT_STARTED),
        (Image(command=("/run/app",), files=with_files(run_app=b"#!/bin/sh\n")), None),
        (Image(command=("/bin",)), Outcome.NOT_STARTED),
        (Image(command=("/app",), files=with_files(app=b"#!/bin/bash2\n")), None),
        (Image(command=("/app",), files=with_files(app=b"#!/bin/sh\r\n")), None),
        (Image(command=(*SHELL, "exit 0"), files=without(NO_LOADER)), Outcome.NOT_STARTED),
        (Image(command=(*SHELL, "echo")), Outcome.ENDED),
        (Image(command=("/app",), files=with_files(app=b"echo >&2\n")), Outcome.RUNS),
        (Image(folders=("dev", "proc", "run", "sys")), Outcome.INIT_DIES),
    ],
    ids=[
        "arguments",
        "relative",
        "hidden",
        "directory",
        "no-interpreter",
        "carriage-return",
        "no-loader",
        "one-shot",
        "no-shebang",
        "no-tmp",
    ],
)
def test_the_console_is_as_foretold(image: Image, outcome: Outcome | None, tmp_path: Path) -> None:
    foretold = linted(image.write(tmp_path / "linted.eif")).boot
    assert foretold is not None
    assert foretold.outcome is (outcome or Outcome.NOT_STARTED)
    seen = [_TIME.sub("", line) for line in output(image, tmp_path) if line]
    if foretold.is_dead:
        assert tuple(seen) == foretold.console
    else:
        assert "execvpe" not in "".join(seen)
