"""The real `dnf` on a repository with the catalogue's names, beside the simulator's: same lines.

Both are asked the same, in the same order. Of what they say, the lines are compared that scripts
and people go by: not the table of a transaction, nor its progress, which is the simulator's own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator.machine.configuration import Configuration
from simulator.machine.making import Installation, make
from simulator.packages.catalogue import CATALOGUE, Package, full_version

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("dnf", "rpmbuild", "createrepo_c")
NITRO = "aws-nitro-enclaves-cli"
BUG_2 = f"{NITRO} {NITRO}-devel aws-nitro-enclaves-allocator"

COMMANDS = (
    f"install -y {BUG_2}",
    "install -y one git two",
    "-q -y install one",
    "install git",
    "install --assumeno git",
    "-y --skip-broken install one",
    f"-y install --skip-broken {BUG_2}",
    "-y --setopt=strict=0 install one jq git",
    "-y install git",
    "-y install git one",
    "-q -y install git",
    "list one",
    "list installed one",
    "list installed git",
    "list --installed docker",
    "-y remove one",
    "-y remove docker one",
    f"list installed {NITRO}",
    f"list installed {NITRO}-devel",
    "-y update",
    "check-update",
    "-y update one",
    "fly",
    "install",
    "install -y",
    "install --fly git",
    "-y install git --setopt",
)
"""In an order in which each finds what those before it left."""

# What the two cannot have in common: when, how large, which repository, and the drawing of it.
_OWN = re.compile(
    r"Last metadata|=+$|Transaction|Running|Total |Installed size|Freed|Downloading|Install +\d|"
    r"Remove +\d| Package |  (Preparing|Installing|Erasing|Verifying) |usage:|  +[\[P]|\S+ +\S+ B/s"
)

pytestmark = [
    pytest.mark.skipif(
        any(shutil.which(name) is None for name in NEEDED),
        reason=f"needs {', '.join(NEEDED)}: Debian's packages dnf, rpm and createrepo-c",
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="dnf installs as root only"),
    pytest.mark.timeout(300),
]


@dataclass(frozen=True, slots=True)
class Said:
    exit_code: int
    stdout: list[str]
    stderr: list[str]


def ask(command: list[str], words: str, environ: dict[str, str]) -> Said:
    finished = subprocess.run(
        [*command, *words.split()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | environ,
        cwd=ROOT,
        check=False,
    )
    return Said(finished.returncode, told(finished.stdout), told(finished.stderr))


def told(text: str) -> list[str]:
    """Without what is each one's own, the spaces of tables, and the architecture."""
    lines = []
    for line in text.splitlines():
        if line.strip() and not _OWN.match(line):
            words = re.sub(r"\.(noarch|x86_64|aarch64)\b", "", line).split()
            is_row = len(words) > 2 and words[1] in {"noarch", "x86_64", "aarch64"}
            row = [words[0], words[2]] if is_row else words
            lines.append(" ".join("" if word.startswith("@") else word for word in row).strip())
    return lines


@pytest.fixture
def real(tmp_path: Path) -> list[str]:
    """dnf on a repository of empty packages, and a root of its own."""
    sources, repository, root = (tmp_path / name for name in ("specs", "repository", "root"))
    for folder in (sources, repository, root / "etc/yum.repos.d", root / "var/log"):
        folder.mkdir(parents=True)
    for name in (NITRO, f"{NITRO}-devel", "docker", "jq", "git"):
        spec = sources / f"{name}.spec"
        spec.write_text(_spec(CATALOGUE[name]))
        command = ["rpmbuild", "-bb", "--define", f"_topdir {tmp_path}/top"]
        subprocess.run(
            [*command, "--define", f"_rpmdir {repository}", str(spec)],
            capture_output=True,
            check=True,
        )
    subprocess.run(["createrepo_c", "-q", str(repository)], capture_output=True, check=True)
    (root / "etc/yum.repos.d/local.repo").write_text(
        f"[amazonlinux]\nname=local\nbaseurl=file://{repository}\ngpgcheck=0\n"
    )
    logs = tmp_path / "logs"
    # dnf wants its folder of logs below the root and beside it.
    for folder in (logs, root / str(logs).lstrip("/")):
        folder.mkdir(parents=True)
    settings = {
        "reposdir": root / "etc/yum.repos.d",
        "cachedir": tmp_path / "cache",
        "logdir": logs,
        # The simulator keeps what nobody needs any more.
        "clean_requirements_on_remove": 0,
    }
    command = [
        *("dnf", f"--installroot={root}", "--releasever=2023"),
        *(f"--setopt={name}={value}" for name, value in settings.items()),
    ]
    subprocess.run([*command, "-q", "makecache"], capture_output=True, check=True)
    return command


def _spec(package: Package) -> str:
    version, release = full_version(package).split("-")
    requires = "".join(f"Requires: {name}\n" for name in package.requires)
    return (
        f"Name: {package.name}\nVersion: {version}\nRelease: {release}\nSummary: empty\n"
        f"License: none\nBuildArch: noarch\n{requires}%description\nempty\n%files\n"
    )


def test_the_real_dnf_says_the_same(real: list[str], tmp_path: Path) -> None:
    make(
        tmp_path / "machine",
        Configuration(),
        Installation(has_cli=False, has_devel=False, runs_allocator=False),
    )
    ours = [
        *(sys.executable, "-c"),
        "import sys; from simulator.packages.dnf import main; sys.exit(main(sys.argv[1:]))",
    ]
    environ = {
        "ATTESTED_KMS_MACHINE": str(tmp_path / "machine"),
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C.UTF-8",
    }
    expected = {words: ask(real, words, {}) for words in COMMANDS}
    assert expected[COMMANDS[0]] == Said(
        1,
        ["No match for argument: aws-nitro-enclaves-allocator"],
        ["Error: Unable to find a match: aws-nitro-enclaves-allocator"],
    )
    for words in COMMANDS:
        assert (words, ask(ours, words, environ)) == (words, expected[words])
