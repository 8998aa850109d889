"""The README's section on the parent instance, and the pages that it leads to, are followed.

Nothing but Python and a shell is needed. Each page has a folder and a machine of its own. The
how-to needs jq, and is followed with the others: `tox -e interop`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from simulator import cli
from simulator.environment import without_aws
from simulator.interpose.probe import NoRung, probe
from simulator.nitro_cli.places import VARIABLE
from tests.interop.how_to import FOLDER, HowTo, as_shown, follow, is_as_shown, read

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
SECTION = "Before KMS: the parent instance"
INSTANCE_SECTION = "Before the enclave: the instance itself"
DEPLOY = """\
#!/bin/sh
set -e
nitro-cli run-enclave --cpu-count 2 --memory 256 --eif-path hello.eif --enclave-cid 16 > run.json
exec "{python}" -c '
import socket, time
for _ in range(100):
    enclave = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    try:
        enclave.connect((16, 5000))
        break
    except ConnectionResetError:
        time.sleep(0.1)
print("module_id" in enclave.makefile().readline())
'
"""
"""What a user of the README has: a script that dials the enclave which it has run."""


@pytest.fixture(name="environment")
def _environment() -> Iterator[Mapping[str, str]]:
    """With `attested-kms` on PATH, and a machine that is stopped at the end."""
    # Not in pytest's folder: the sockets in the machine's take a short path.
    with TemporaryDirectory(prefix="pages-") as temporary:
        command = Path(temporary, "bin", "attested-kms")
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m simulator.cli "$@"\n')
        command.chmod(0o755)
        machine = str(Path(temporary, "machine"))
        yield {
            **without_aws(os.environ),
            "HOME": temporary,
            "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": temporary,
            VARIABLE: machine,
        }
        assert cli.main(["machine", "stop", "--machine", machine]) == 0


def need_boot() -> None:
    try:
        probe().choose_for_boot()
    except NoRung as error:
        pytest.skip(f"no enclave boots here: {error}")


@pytest.mark.parametrize(
    "name", ["nitro-cli", "machine", "eif", "packages", "instance", "vsock-proxy", "doctor"]
)
def test_a_reference_is_true(name: str, environment: Mapping[str, str], tmp_path: Path) -> None:
    how_to: HowTo = read(REFERENCE / f"{name}.md")
    assert how_to.steps
    steps = zip(follow(how_to, tmp_path, environment), as_shown(how_to), strict=True)
    for went, said in steps:
        assert is_as_shown(went.shown, said.shown), f"{went.commands}\n{went.shown}"


def test_a_bare_instance_gets_its_enclave(environment: Mapping[str, str], tmp_path: Path) -> None:
    need_boot()
    how_to = read(FOLDER / "bare-instance.md")
    steps = zip(follow(how_to, tmp_path, environment), as_shown(how_to), strict=True)
    for went, said in steps:
        assert is_as_shown(went.shown, said.shown), f"{went.commands}\n{went.shown}"


def commands(section: str) -> list[str]:
    text = (ROOT / "README.md").read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"(?m)^ {4}(.+)$", text)


def followed(
    section: str, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-e", "-c", "\n".join(commands(section))],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_readme_is_followed(environment: Mapping[str, str], tmp_path: Path) -> None:
    need_boot()
    deploy = tmp_path / "deploy.sh"
    deploy.write_text(DEPLOY.format(python=sys.executable))
    deploy.chmod(0o755)
    assert len(commands(SECTION)) >= 8
    done = followed(SECTION, tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sample enclave: listening" in done.stdout
    assert '"Flags": "DEBUG_MODE"' in done.stdout
    assert done.stdout.count('"Terminated": true') == 1
    assert done.stdout.rstrip().endswith("True")


def test_the_readme_is_followed_before_the_enclave(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    need_boot()
    assert len(commands(INSTANCE_SECTION)) >= 5
    done = followed(INSTANCE_SECTION, tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    before, _, after = done.stdout.partition("set-up: DONE\n")
    following = before.partition("\nnext: packages.cli\n")[2]
    assert "\n  run     dnf install -y aws-nitro-enclaves-cli" in following
    assert ": 0 errors, " in after
