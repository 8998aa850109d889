"""Enclaves booted by user 65534, who has no privilege but that of making user namespaces."""

from __future__ import annotations

import os

import pytest

from simulator.interpose.plan import Rung
from tests.simulator.supervised import needs
from tests.simulator.test_run_unprivileged import pytest_as_nobody

ENCLAVE, INIT, RAMDISK = (
    f"tests/simulator/test_boot_{name}.py" for name in ("enclave", "init", "ramdisk")
)


def test_enclaves_are_the_same_for_nobody() -> None:
    needs(Rung.NAMESPACES)
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; who is not root runs the other tests so")
    chosen = "namespaces or surroundings or closed or hello or leads or is_told or files_folders"
    finished = pytest_as_nobody(ENCLAVE, INIT, RAMDISK, "-k", f"({chosen}) and not without")
    assert finished.returncode == 0, finished.stdout
    assert "skipped" not in finished.stdout
