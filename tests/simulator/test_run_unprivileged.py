"""Everything by user 65534, who has no privilege: programs, and the suite on /dev/nsm and vsock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.interpose.plan import Rung
from tests.simulator.supervised import needs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _by_root() -> None:
    needs(Rung.OPEN_TRAP)
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; who is not root runs the other tests so")


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tests" / "simulator" / "as_nobody.py"), *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def pytest_as_nobody(*arguments: str) -> subprocess.CompletedProcess[str]:
    return as_nobody(
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments),
    )


def test_nobody_has_no_privilege() -> None:
    finished = as_nobody("sh", "-c", "id -u; grep -E 'Cap(Eff|Bnd)' /proc/self/status")
    assert finished.stdout.splitlines()[:2] == ["65534", f"CapEff:\t{0:016x}"]


def test_the_rules_of_the_devices_hold_for_nobody() -> None:
    finished = pytest_as_nobody(
        "tests/simulator/test_run_nsm.py", "tests/simulator/test_run_vsock.py", "-k", "open_trap"
    )
    assert finished.returncode == 0, finished.stdout
    assert "skipped" not in finished.stdout


@pytest.mark.timeout(240)  # Four dozen scenarios, on a machine that may have much to do.
def test_the_suite_passes_for_nobody_without_namespaces() -> None:
    """All that use the transport; a fresh instance's shell takes namespaces anyway.

    nitro-cli for a user without privilege has tests of its own (test_parent_instance_unprivileged).
    """
    finished = pytest_as_nobody(
        *("scenarios", "--target", "sim", "--transport", "open-trap", "--only-by-transport"),
    )
    assert finished.returncode == 0, finished.stdout
    assert "under the supervisor, by notify + open trap." in finished.stdout
    assert "skipped" not in finished.stdout


def test_a_program_that_hides_its_memory_is_still_answered() -> None:
    """PR_SET_DUMPABLE 0 keeps even its own user out of a process."""
    code = (
        "import ctypes, socket; libc = ctypes.CDLL(None); "
        "print(libc.prctl(4, 0, 0, 0, 0)); "
        "print(socket.socket(40, 1).getsockname()); print(open('/dev/nsm').fileno() > 2)"
    )
    program = (sys.executable, "-I", "-S", "-c", code)
    command = (sys.executable, "-m", "simulator.cli", "run", "--no-isolate", "--", *program)
    finished = as_nobody(*command)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.splitlines() == ["0", "(4294967295, 4294967295)", "True"]
