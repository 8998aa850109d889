"""AWS's own test programs of the NSM, unmodified, under `attested-kms run`.

They are `nsm-test` of the repository aws-nitro-enclaves-nsm-api, which AWS runs in real enclaves:
nsm-check, nsm-multithread, and the C++ test of libnsm. No package index has them (the crate leaves
them out), so ATTESTED_KMS_NSM_TEST names a clone of that repository, and without it they are
skipped.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from simulator.fabric import temporary_fabric
from tests.interop.enclave_programs import built, need, run_enclave

VARIABLE = "ATTESTED_KMS_NSM_TEST"

pytestmark = pytest.mark.timeout(900)  # The first test compiles.


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the clone, built: cargo would write its lock file into the user's."""
    if VARIABLE not in os.environ:
        pytest.skip(f"{VARIABLE} does not name a clone of aws-nitro-enclaves-nsm-api")
    need("cargo", "gcc")
    copy = tmp_path_factory.mktemp("nsm-test") / "clone"
    ignored = shutil.ignore_patterns(".git", "target")
    shutil.copytree(os.environ[VARIABLE], copy, ignore=ignored)
    command = ("cargo", "build", "--quiet", "--package", "nsm-test", "--package", "nsm-lib")
    # The C++ test includes a header by its path below target/debug.
    built(*command, folder=copy, environment={"CARGO_TARGET_DIR": str(copy / "target")})
    return copy


def test_nsm_check(clone: Path) -> None:
    with temporary_fabric() as fabric:
        ran = run_enclave(fabric, [clone / "target" / "debug" / "nsm-check"])
    assert ran.exit_code == 0, ran
    assert ran.output.endswith("NSM test finished.\n")
    assert ran.traps["ioctl"] > 500


def test_nsm_multithread(clone: Path) -> None:
    # It asks from 90 threads until it gets SIGTERM; `timeout` is beside it, in the enclave.
    need("timeout")
    program = clone / "target" / "debug" / "nsm-multithread"
    with temporary_fabric() as fabric:
        ran = run_enclave(fabric, ["timeout", "--preserve-status", "2", program])
    assert ran.exit_code == 0, ran
    assert ran.output.endswith("NSM test finished. Exitcode: 0\n")
    assert "Error" not in ran.output
    assert ran.traps["ioctl"] > 90


def test_the_test_of_libnsm(clone: Path) -> None:
    need("g++")
    library = clone / "target" / "debug"
    command = ("g++", "-o", "test", "src/main.cc", f"-L{library}", "-l:libnsm.so")
    built(*command, f"-Wl,-rpath,{library}", folder=clone / "nsm-test")
    with temporary_fabric() as fabric:
        ran = run_enclave(fabric, [clone / "nsm-test" / "test"])
    assert ran.exit_code == 0, ran
    assert ran.output.endswith("NSM test finished.\n")
    assert ran.traps["ioctl"] > 500
