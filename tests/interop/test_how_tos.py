"""Every page of docs/how-to, followed to the letter from an empty folder: `tox -e interop`.

The pages hold the clients in other languages, and no copy of them is anywhere else. Their packages
come from the public registries.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from simulator.environment import without_aws
from simulator.interpose.probe import NoRung, probe
from simulator.nitro_cli.places import VARIABLE
from tests.interop.how_to import FOLDER, HowTo, as_shown, follow, is_as_shown, read

PROGRAMS = {
    "aws-cli": ("bash", "python3", "curl", "openssl"),
    "bare-instance": ("bash", "python3"),
    "deployment-scripts": ("bash", "jq", "python3"),
    "go": ("bash", "go"),
    "hardware": ("bash", "python3"),
    "javascript": ("bash", "node", "npm"),
    "run-c": ("bash", "gcc", "pkg-config"),
    "run-go": ("bash", "go"),
    "run-python": ("bash", "python3"),
    "run-rust": ("bash", "cargo", "gcc"),
    "ssm": ("bash", "jq", "python3"),
}
"""What must be on PATH for each page."""
LIBRARIES = {"run-c": ("libcrypto", "libssl")}
"""What pkg-config must know for each page."""

BOOTS = ("bare-instance", "deployment-scripts")
"""The pages that boot enclaves."""


@contextmanager
def machine() -> Iterator[Path]:
    """The folder of a page's parent instance, beside which others have room; its path is short."""
    with TemporaryDirectory(prefix="how-to-") as temporary:
        folder = Path(temporary, "machine")
        yield folder
        stop = ("machine", "stop", "--machine", str(folder))
        subprocess.run([sys.executable, "-m", "simulator.cli", *stop], check=True)


@contextmanager
def served(how_to: HowTo) -> Iterator[dict[str, str]]:
    """The ready line of the page's server, which is stopped at the end; nothing if it has none."""
    if how_to.server is None:
        yield {}
        return
    with subprocess.Popen(
        [sys.executable, "-m", "simulator.cli", *how_to.server], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
    assert process.returncode == 0


def has_library(name: str) -> bool:
    return subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0


def test_every_page_is_followed() -> None:
    assert {page.stem for page in FOLDER.glob("*.md")} == set(PROGRAMS)


def test_their_links_lead_somewhere() -> None:
    links = [
        (page.name, link)
        for page in FOLDER.glob("*.md")
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", page.read_text())
    ]
    assert links
    assert [(page, link) for page, link in links if not (FOLDER / link).exists()] == []


@pytest.mark.timeout(1800)  # Packages are fetched, and Rust compiles its SDK.
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_the_page_says_is_what_happens(name: str, tmp_path: Path) -> None:
    missing = [program for program in PROGRAMS[name] if shutil.which(program) is None]
    missing = missing or [lib for lib in LIBRARIES.get(name, ()) if not has_library(lib)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if name in BOOTS:
        try:
            probe().choose_for_boot()
        except NoRung as error:
            pytest.skip(f"no enclave boots here: {error}")
    how_to = read(FOLDER / f"{name}.md")
    with served(how_to) as ready, machine() as folder:
        assert set(ready) == how_to.ready
        environment = {
            **without_aws(os.environ),
            **{variable: ready[key] for variable, key in how_to.handed_over.items()},
            VARIABLE: str(folder),
            "TMPDIR": str(folder.parent),
            # Where `attested-kms` is.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            # The AWS SDK for JavaScript tells users of Node.js 20 to move on.
            "NODE_NO_WARNINGS": "1",
        }
        steps = zip(follow(how_to, tmp_path, environment), as_shown(how_to), strict=True)
        for went, said in steps:
            assert is_as_shown(went.shown, said.shown), f"{went.commands}\n{went.shown}"
