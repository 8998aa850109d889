"""nitro-cli to the letter: the golden command lines, derived from the real one's sources.

They are kept beside this project and not in it. Each is run through the shim on a machine in the
state that it tells, with and without BACKTRACE=1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.golden_machines import (
    CONSOLE,
    Finished,
    Machines,
    machines,
    run_words,
    without_times,
)

ROOT = Path(__file__).resolve().parents[2]
BUILD = ["build-enclave", "--docker-uri", "app:1", "--output-file", "built.eif"]
NO_HOME = {"HOME": None, "NITRO_CLI_ARTIFACTS": None}
HOME = {"HOME": "home"}

# By case: the machine's state, the command line, the environment.
CASES: dict[str, tuple[str, list[str], Mapping[str, str | None]]] = {
    "bug9_second_enclave_pool_used_up": ("held", run_words(2, 1024), {}),
    "E29_add_vcpu_partly_used_pool": ("one core of two held", run_words(4, 128), {}),
    "E29_half_core": ("as shipped", run_words(1, 128), {}),
    "E29_below_64MiB": ("as shipped", run_words(2, 32), {}),
    "E22_more_than_pool": ("as shipped", run_words(4, 128), {}),
    "E22_allocator_never_started": ("no allocator", run_words(2, 128), {}),
    "E26_less_than_4x_eif": ("as shipped", run_words(2, 512, "large.eif"), {}),
    "E27_not_enough_hugepages": ("as shipped", run_words(2, 1024), {}),
    "E36_bind_race": ("racing", run_words(2, 128), {}),
    "E36_no_heartbeat": ("silent", [*run_words(2, 1024), "--enclave-cid", "16"], {}),
    "E19_no_driver_pool_file": ("no driver", run_words(2, 128), {}),
    "E19_eif_missing": ("as shipped", run_words(2, 128, "nope.eif"), {}),
    "bug3_E51_build_without_HOME": ("as shipped", BUILD, NO_HOME),
    "E19_build_without_devel_package": ("no devel", BUILD, HOME),
    "E48_unsupported_entrypoint": ("no command", BUILD, HOME),
    "E50_pull_fails": ("as shipped", BUILD, HOME),
    "E44_console_not_debug": ("held", ["console", "--enclave-name", "held"], {}),
    "bug1_E45_console_after_reboot": ("rebooting", ["console", "--enclave-name", "held"], {}),
    "E11_terminate_unknown_id": (
        "as shipped",
        ["terminate-enclave", "--enclave-id", "i-0-encdead"],
        {},
    ),
    "E03_parent_cid": ("as shipped", [*run_words(2, 128), "--enclave-cid", "3"], {}),
}


@pytest.fixture(name="here", scope="module")
def _here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    # A short path: sockets are below it.
    with machines(tmp_path_factory.mktemp("golden")) as made:
        yield made


@pytest.fixture(name="golden", scope="module")
def _golden(shared_vectors: Path) -> dict[str, Any]:
    path = shared_vectors / "host" / "nitro_cli_golden_1.4.4.json"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    cases: dict[str, Any] = json.loads(path.read_text())["cases"]
    return cases


def test_every_golden_case_is_run(golden: dict[str, Any]) -> None:
    assert list(golden) == list(CASES)


@pytest.mark.parametrize("backtrace", [False, True], ids=["plain", "BACKTRACE"])
@pytest.mark.parametrize("name", CASES)
def test_golden(here: Machines, golden: dict[str, Any], name: str, *, backtrace: bool) -> None:
    state, words, environ = CASES[name]
    expected = golden[name]
    if backtrace:
        environ = {**environ, "BACKTRACE": "1"}
        # The enclave of the first one has ended.
        state = "rebooting again" if state == "rebooting" else state
    finished = here.run(state, words, environ)
    assert finished == Finished(
        expected["rc"],
        console() if state.startswith("rebooting") else expected["stdout"],
        without_times(expected["stderr_BACKTRACE_1" if backtrace else "stderr"]),
        tuple(expected["err_logs"]),
    )


def console() -> str:
    """What precedes on standard output, as the case says in words."""
    return (
        "Connecting to the console for enclave 16...\nSuccessfully connected to the console.\n"
        + CONSOLE
    )


def test_no_golden_text_stands_whole_in_the_package(golden: dict[str, Any]) -> None:
    """Texts are made of causes and templates, and not looked up."""
    package = "\n".join(
        path.read_text()
        for name in ("simulator", "nsm_fake", "scenarios", "real_hw")
        for path in sorted((ROOT / name).rglob("*.py"))
    )
    joined = "".join(package.split())
    for name, case in golden.items():
        for text in (case["stderr"], case["stderr_BACKTRACE_1"], *case["err_logs"]):
            assert "".join(text.split()) not in joined, name
        for log in case["err_logs"]:
            lines = ["".join(line.split()) for line in log.splitlines()]
            for first in range(len(lines) - 2):
                # Two lines of code may have two lines of it; three are a text.
                assert "".join(lines[first : first + 3]) not in joined, name
