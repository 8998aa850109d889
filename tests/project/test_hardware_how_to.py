"""docs/how-to/hardware.md and its workflow: that what they tell their reader to type exists.

The page's scripts for AWS run here with an `aws` that answers as on the page; what it was called
with, after the shell, is compared with botocore's models. Nothing here shows that AWS does it.
"""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
import yaml

from simulator import cli
from simulator.set_up import SetUp
from tests.interop.how_to import FOLDER, HowTo, read
from tests.project.aws_command_lines import check

ROOT = Path(__file__).resolve().parents[2]
PAGE = FOLDER / "hardware.md"
WORKFLOW = FOLDER / "hardware-workflow.yml"

AWS = """#!/bin/bash
printf '%s\\0' "$@" >> "$CALLS/aws"
printf '\\n\\0' >> "$CALLS/aws"
cat "$CALLS/$1.$2" 2> /dev/null || true
"""
OURS = """#!/bin/bash
printf 'attested-kms %s\\n' "$*" >> "$CALLS/ours"
[ "$1" != ssm ] || cat > "$CALLS/sent"
[ "$1" != hardware ] || echo '{}'
"""
ANSWERS = {
    "ec2.describe-security-groups": "None",
    "ec2.describe-vpcs": "vpc-0123456789abcdef0",
    "ec2.create-security-group": "sg-0123456789abcdef0",
    "ssm.get-parameter": "ami-0123456789abcdef0",
    "sts.get-caller-identity": "111122223333",
    "ec2.run-instances": "i-0123456789abcdef0",
    "ssm.describe-instance-information": "Online",
}
INSTANCE = "i-0123456789abcdef0"
READER = """
bash role.sh
bash launch.sh
instance=$(cat instance)
. ./on-instance.sh
on_instance ./toxw -e hardware
bash away.sh all
"""


@dataclass(frozen=True, slots=True)
class Followed:
    """What the scripts for AWS did, one after the other in one folder."""

    folder: Path
    aws: Sequence[Sequence[str]]
    ours: Sequence[str]
    sent: str

    def of(self, service: str, operation: str) -> list[Sequence[str]]:
        """The calls of an operation."""
        return [words for words in self.aws if tuple(words[:2]) == (service, operation)]


@pytest.fixture(scope="module", name="page")
def _page() -> HowTo:
    return read(PAGE)


@pytest.fixture(scope="module", name="followed")
def _followed(page: HowTo, tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder = tmp_path_factory.mktemp("hardware")
    calls = folder / "calls"
    calls.mkdir()
    for name, text in page.files.items():
        (folder / name).write_text(text)
    for name, text in ANSWERS.items():
        (calls / name).write_text(f"{text}\n")
    for name, text in {"aws": AWS, "attested-kms": OURS}.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    subprocess.run(
        ["bash", "-euc", READER],
        cwd=folder,
        env={"PATH": f"{folder}/bin:/usr/bin:/bin", "CALLS": str(calls), "AWS_REGION": "eu-west-1"},
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=30,
    )
    lines = (calls / "aws").read_text().split("\n\0")
    return Followed(
        folder=folder,
        aws=[line.split("\0")[:-1] for line in lines if line],
        ours=(calls / "ours").read_text().splitlines(),
        sent=(calls / "sent").read_text(),
    )


def test_aws_knows_each_call(followed: Followed) -> None:
    assert len(followed.aws) >= 20
    for words in followed.aws:
        check(words, followed.folder)


def test_the_instance_is_what_the_page_says(followed: Followed) -> None:
    (launch,) = followed.of("ec2", "run-instances")
    for option, value in {
        "--enclave-options": "Enabled=true",
        "--metadata-options": "HttpTokens=required,HttpPutResponseHopLimit=1",
        "--instance-initiated-shutdown-behavior": "terminate",
        "--security-group-ids": "sg-0123456789abcdef0",
    }.items():
        assert launch[launch.index(option) + 1] == value
    assert not followed.of("ec2", "authorize-security-group-ingress")
    user_data = (followed.folder / "user-data.sh").read_text()
    assert user_data.startswith("#!/bin/bash\nshutdown -h +240\n")


def test_all_that_was_made_is_removed(followed: Followed) -> None:
    """In pairs: what role.sh and launch.sh make, and what away.sh takes away."""
    for made, removed in (
        (("ec2", "run-instances"), ("ec2", "terminate-instances")),
        (("ec2", "create-security-group"), ("ec2", "delete-security-group")),
        (("iam", "create-role"), ("iam", "delete-role")),
        (("iam", "put-role-policy"), ("iam", "delete-role-policy")),
        (("iam", "attach-role-policy"), ("iam", "detach-role-policy")),
        (("iam", "create-instance-profile"), ("iam", "delete-instance-profile")),
        (("iam", "add-role-to-instance-profile"), ("iam", "remove-role-from-instance-profile")),
    ):
        assert len(followed.of(*made)) == len(followed.of(*removed)) == 1


def test_what_the_instance_is_told(followed: Followed) -> None:
    assert followed.sent == (
        "sudo --login --user=ec2-user -- env --chdir=attested-kms AWS_REGION=eu-west-1 "
        "./toxw -e hardware\n"
    )
    # sudo --login hands its words to a shell, and quotes all but the dollar.
    assert "$" not in followed.sent
    assert f"attested-kms ssm run - --instance {INSTANCE} --timeout 7200" in followed.ours


@pytest.mark.parametrize("name", ["get.sh", "host.sh"])
def test_a_script_for_the_instance_is_one(name: str, page: HowTo) -> None:
    script = page.files[name]
    done = subprocess.run(["bash", "-n"], input=script, text=True, check=False)
    assert done.returncode == 0
    as_user = re.findall(r"(?m)^sudo --login --user=ec2-user -- (\S+) ", script)
    assert as_user == ["git", "git", "attested-kms/toxw"]
    # One unknown name, and dnf installs nothing: bug 2 of the field notes.
    known = re.search("(?m)^PACKAGES='(.+)'$", SetUp().script())
    assert known is not None
    for wanted in re.findall(r"(?m)^dnf install -y (.+)$", script):
        assert set(wanted.split()) <= set(known[1].split())


def test_records_come_home(page: HowTo, tmp_path: Path) -> None:
    (tmp_path / "home.sh").write_text(page.files["home.sh"])
    wanted = ("scenarios/bugs.bug_5.validation.json", ".results/hardware.json")
    for name in (*wanted, "scenarios/test_bugs.py", ".results/other.txt", "README.md"):
        path = tmp_path / "clone" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    printed = subprocess.run(
        ["bash", str(tmp_path / "home.sh"), "clone"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    with tarfile.open(fileobj=BytesIO(printed)) as archive:
        assert sorted(archive.getnames()) == sorted(wanted)


def test_the_workflow_is_careful() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    # YAML 1.1 reads the key `on` as true. No pull request starts it: it runs code with the role.
    assert set(workflow[True]) == {"workflow_dispatch", "schedule"}
    minute_hour_day = workflow[True]["schedule"][0]["cron"].split()
    assert minute_hour_day[2:] == ["1", "*", "*"]
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"] == {"group": "hardware", "cancel-in-progress": False}
    (job,) = workflow["jobs"].values()
    assert "self-hosted" in job["runs-on"]
    assert job["timeout-minutes"] <= 120
    steps = job["steps"]
    assert [step["with"]["persist-credentials"] for step in steps if "checkout" in str(step)] == [
        False
    ]
    (clean,) = [step for step in steps if "hardware clean" in step.get("run", "")]
    assert clean["if"] == "always()"
    # What a person typed reaches the shell as a variable, and not as text of the script.
    assert not [step for step in steps if "${{" in step.get("run", "")]


def _typed() -> list[str]:
    """The command lines that the page and the workflow give their readers."""
    page = PAGE.read_text()
    runs = [
        step["run"]
        for job in yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]
    typed = re.findall(r"(?m)^\$ (.+)$", page) + runs
    return [line.replace('"$instance"', INSTANCE) for line in typed]


def _ours(line: str) -> list[str]:
    """The words from `attested-kms` on; none where the line has another program."""
    words = shlex.split(line.partition(" > ")[0])
    at = [index for index, word in enumerate(words) if Path(word).name == "attested-kms"]
    return ["attested-kms", *words[at[0] + 1 :]] if at else []


def _toxw(line: str) -> list[str]:
    words = shlex.split(line)
    at = [index for index, word in enumerate(words) if Path(word).name == "toxw"]
    return words[at[0] + 1 :] if at else []


def _is_ours(words: Sequence[str]) -> bool:
    try:
        cli._parser(words[1:]).parse_args(words[1:])
    except SystemExit:
        return False
    return True


def _suite_options() -> str:
    """The sources in which the suite's options are defined."""
    sources = [ROOT / "conftest.py", *(ROOT / "real_hw").glob("*.py")]
    return "".join(path.read_text() for path in sources)


def _unknown(line: str) -> list[str]:
    """What a command line names that is not here."""
    ours = _ours(line)
    unknown = [shlex.join(ours)] if ours and not _is_ours(ours) else []
    words = _toxw(line)
    environments = configparser.ConfigParser(interpolation=None)
    environments.read(ROOT / "tox.ini")
    if words and f"testenv:{words[1]}" not in environments:
        unknown.append(f"toxw -e {words[1]}")
    options = [word for word in words[3:] if word.startswith("--")]
    unknown += [f"toxw {option}" for option in options if f'"{option}"' not in _suite_options()]
    return unknown


def test_what_is_typed_exists(capsys: pytest.CaptureFixture[str], followed: Followed) -> None:
    lines = [*_typed(), *followed.ours]
    unknown = {name for line in lines for name in _unknown(line)}
    usage = capsys.readouterr().err
    assert unknown == set(), usage


def test_aws_knows_what_is_typed(tmp_path: Path) -> None:
    lines = [shlex.split(line) for line in _typed() if line.startswith("aws ")]
    for words in lines:
        check(words[1:], tmp_path)
    # Within a line of the page's text too.
    within = re.findall(r"`aws (.+?)`", PAGE.read_text())
    for line in within:
        check(shlex.split(line), tmp_path)
    assert lines
    assert within


def test_the_page_is_honest() -> None:
    text = PAGE.read_text()
    assert "Nobody has followed it on hardware yet" in text
    assert text.count("*not verified*") >= 5
