"""Who imports whom: the table that keeps the two fakes apart and the suite free of targets."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("nsm_fake", "kms_fake", "simulator", "scenarios", "real_hw")
CONTRACT = "scenarios.target"
WORKLOAD = "scenarios.workload"
OF_TARGETS = (CONTRACT, "scenarios.target_parts", WORKLOAD)
"""What a target is made of, be it real or not."""
WHAT_CAME_OF_IT = tuple(
    f"scenarios.{name}"
    for name in (
        *("normalising", "answers", "notes", "watching", "watched_instances", "results"),
        *("records", "recording", "comparing", "known_differences", "suite"),
    )
)
"""What watches the scenarios and keeps what came of them: for the root conftest and reports."""

# A string such as "scenarios.workload.enclave" is a module to be started with -m: it counts too.
MODULE_NAME = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.[a-z_]+)+")


def allowed(path: Path) -> tuple[str, ...]:  # noqa: C901, PLR0911  # A table.
    """The modules of ours, and all below them, that the file may import beside its own part."""
    part = path.relative_to(ROOT)
    match part.parts:
        case ("nsm_fake" | "kms_fake" as fake, *_):
            return (fake,)
        case ("simulator", "interpose", *_):
            return ("simulator.interpose",)
        case ("simulator", "commands", *_):
            # The command line of the whole project.
            return (*allowed(ROOT / "simulator" / "cli.py"), "real_hw")
        case ("simulator", *_):
            return ("simulator", "nsm_fake", "kms_fake", *OF_TARGETS, *WHAT_CAME_OF_IT)
        case ("real_hw", *_):
            return ("real_hw", *OF_TARGETS)
        case ("scenarios", "target_parts.py"):
            return (CONTRACT, WORKLOAD)
        case ("scenarios", "workload", *_):
            return (WORKLOAD,)
        case ("scenarios", name) if name.startswith(("test_", "conftest")):
            return (CONTRACT,)
        case ("scenarios", name) if f"scenarios.{name.removesuffix('.py')}" in WHAT_CAME_OF_IT:
            return (CONTRACT, *WHAT_CAME_OF_IT)
        case ("scenarios", *_):
            return ()
    raise AssertionError(f"no rule for {part}")


def uses(source: str) -> Iterator[str]:
    """The modules of ours that a source imports, by statement or as the name of one to start."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Constant(value=str(text)) if MODULE_NAME.fullmatch(text):
                yield text


def foreign(source: str, permitted: tuple[str, ...]) -> list[str]:
    ours = (name for name in uses(source) if name.split(".")[0] in PACKAGES)
    return [
        name
        for name in ours
        if not any(name == module or name.startswith(f"{module}.") for module in permitted)
    ]


SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_what_its_part_may(path: Path) -> None:
    assert foreign(path.read_text(), allowed(path)) == []


def test_the_processes_of_a_run_import_the_standard_library_only() -> None:
    """They start quickly, wherever the project is installed, and drag nobody's threads along."""
    code = (
        f"import sys; sys.path.append({str(ROOT)!r}); "
        "import simulator.interpose.guardian, simulator.interpose.probe, simulator.interpose.run; "
        "print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert set(finished.stdout.split()) <= {"__main__", "simulator"}


def test_nitro_cli_imports_the_standard_library_only() -> None:
    """So that it starts as quickly as scripts expect of it: the commands that ask a machine."""
    modules = ("run", "terminate", "describe", "console", "explain")
    names = ", ".join(
        f"simulator.{name}"
        for name in (
            *("nitro_cli.main", "nitro_cli.allocator_command", "machine.making"),
            *("packages.dnf", "packages.rpm", "packages.systemctl"),
            *("instance.sudo", "instance.rust", "instance.compiler", "instance.usermod"),
            *("instance.journalctl", "instance.dmesg"),
            *(f"nitro_cli.{name}" for name in modules),
        )
    )
    code = (
        f"import sys; sys.path.append({str(ROOT)!r}); import {names}; "
        "print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert set(finished.stdout.split()) <= {"__main__", "simulator"}


def test_doctor_waits_for_no_heavy_package() -> None:
    """Its checks want an enum of kms_fake, and not the second that moto takes to be imported."""
    names = "commands.doctor doctor.examine doctor.report doctor.simulated doctor.this_machine"
    modules = ", ".join(f"simulator.{name}" for name in names.split())
    code = f"import sys, {modules}; print(*sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    imported = {name.partition(".")[0] for name in finished.stdout.split()}
    assert imported & {"boto3", "botocore", "cryptography", "jsonschema", "moto"} == set()


def test_a_run_can_be_imported_where_there_is_no_linux() -> None:
    """The demo and the suite by the fabric import it on every system."""
    code = (
        f"import sys, types, ctypes; sys.path.append({str(ROOT)!r}); sys.platform = 'darwin'; "
        "ctypes.CDLL = lambda *_, **__: types.SimpleNamespace(syscall=types.SimpleNamespace()); "
        "import simulator.interpose.run, simulator.interpose.probe as probe; "
        "print(probe.probe().best)"
    )
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert (finished.stdout, finished.stderr) == ("None\n", "")


def test_every_package_is_checked() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(PACKAGES)


@pytest.mark.parametrize(
    "source",
    [
        "import nsm_fake",
        "from nsm_fake import pki",
        "def late():\n    from nsm_fake.pki import NsmPki",
        "command = [sys.executable, '-m', 'nsm_fake.pki']",
    ],
)
def test_a_fake_that_reaches_for_the_other_is_caught(source: str) -> None:
    assert foreign(source, allowed(ROOT / "kms_fake" / "fake.py"))


def test_a_scenario_may_import_the_contract_alone() -> None:
    permitted = allowed(ROOT / "scenarios" / "test_flow.py")
    assert foreign("from scenarios.target import Target", permitted) == []
    assert foreign("from scenarios.workload import frames", permitted)
    assert foreign("import simulator", permitted)
    assert foreign("from scenarios.records import read", permitted)


def test_only_the_command_line_knows_the_hardware_target() -> None:
    use = "from real_hw.target import HardwareTarget"
    assert foreign(use, allowed(ROOT / "simulator" / "commands" / "doctor.py")) == []
    assert foreign(use, allowed(ROOT / "simulator" / "target.py"))
    assert foreign("import simulator", allowed(ROOT / "real_hw" / "target.py"))


def test_what_watches_the_scenarios_knows_the_contract_alone() -> None:
    permitted = allowed(ROOT / "scenarios" / "records.py")
    assert foreign("from scenarios.target import Target", permitted) == []
    assert foreign("import simulator", permitted)
    assert foreign("from scenarios.workload import frames", permitted)
