"""A machine of user 65534, who has no privilege but that of making user namespaces."""

from __future__ import annotations

import os

import pytest

from simulator.interpose.plan import Rung
from tests.simulator.supervised import needs
from tests.simulator.test_run_unprivileged import pytest_as_nobody


def test_a_broker_and_its_enclaves_are_the_same_for_nobody() -> None:
    needs(Rung.NAMESPACES)
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; who is not root runs the other tests so")
    finished = pytest_as_nobody(
        *("tests/simulator/test_parent_instance_real.py", "-k", "killed or seen or on_demand"),
        *("tests/simulator/test_parent_instance_broker.py",),
    )
    assert finished.returncode == 0, finished.stdout
    assert "skipped" not in finished.stdout
