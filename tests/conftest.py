"""What the tests of all parts share: hypothesis, short paths, the real data beside the project."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import pytest

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "vectors"

# The same examples everywhere, so that a failure in CI is a failure on the next laptop.
hypothesis.settings.register_profile("project", derandomize=True, deadline=None, max_examples=100)
hypothesis.settings.load_profile("project")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give each of several processes a short folder: a socket's path has 107 bytes at most.

    And no width of a terminal, which pytest-xdist has set for its own ends.
    """
    if hasattr(config, "workerinput"):
        os.environ.pop("COLUMNS", None)
        folder = tempfile.mkdtemp(prefix="tests-")
        config.option.basetemp = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """Known answers, real documents and envelopes: kept beside the project and never in it."""
    if not SHARED.is_dir():
        pytest.skip("the real samples (../shared/vectors) are not beside this clone")
    return SHARED


@pytest.fixture(scope="session")
def openssl() -> str:
    """The openssl command, a judge that shares no code with this project."""
    found = shutil.which("openssl")
    if found is None:
        pytest.skip("openssl is not installed")
    return found
