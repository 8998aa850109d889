"""The same programs by user 65534, without namespaces: nobody needs a privilege for them.

They are built by whoever runs the tests, and then run, by the same tests, as that user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from simulator.interpose.plan import Rung
from tests.interop import test_run_c, test_run_go, test_run_python, test_run_rust
from tests.interop.enclave_programs import BUILT, OPTIONS
from tests.simulator.as_nobody import NEEDED
from tests.simulator.supervised import needs

ROOT = Path(__file__).resolve().parents[2]
MODULES = (test_run_c, test_run_go, test_run_python, test_run_rust)

pytestmark = pytest.mark.timeout(1800)  # It may have to build them all.


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition("_")[2])
def test_nobody_runs_them(module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> None:
    needs(Rung.OPEN_TRAP)
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; who is not root ran the other tests so")
    path = Path(str(module.__file__))
    built = tmp_path_factory.getbasetemp() / "built"
    languages = {"c": "c-glibc", "rust": "rust/debug/kms"}
    language = path.stem.removeprefix("test_run_")
    if not (built / languages.get(language, language)).exists():
        pytest.skip(f"nothing was built by {path.name}, whose tests were skipped or left out")
    finished = subprocess.run(
        [
            *(sys.executable, str(ROOT / "tests" / "simulator" / "as_nobody.py")),
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(path)),
            *("-k", "not published and not compiler"),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            NEEDED: str(built),
            BUILT: str(built),
            OPTIONS: "--no-isolate",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    assert " passed" in finished.stdout
