from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from real_hw.leftovers import this_process
from simulator.cli import main
from tests.real_hw.aws_world import Aws, aws

RUN = "attested-kms-0a1b2c3d"
OTHER_RUN = "attested-kms-99999999"
ENCLAVE = "i-05f6ed443ae428c95-enc173dfe3e2b1c87b"
OTHER_ENCLAVE = "i-05f6ed443ae428c95-enc2222222222222"


@pytest.fixture(scope="module")
def services() -> Iterator[Aws]:
    with aws() as world:
        yield world


class World:
    """AWS, an instance with nitro-cli and docker, and the folder of runs."""

    def __init__(self, services: Aws, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.aws = services
        self.runs = folder / "runs"
        self._capture = capture
        self._folder = folder
        self.runs.mkdir()
        for name in ("nitro-cli", "docker"):
            program = folder / name
            program.write_text(_PROGRAM.format(folder=folder, name=name))
            program.chmod(0o755)
        self.enclaves()

    def enclaves(self, *running: tuple[str, str]) -> None:
        self.describe(*({"EnclaveID": one, "EnclaveName": name} for one, name in running))

    def describe(self, *told: Mapping[str, object]) -> None:
        """Have nitro-cli tell of these."""
        (self._folder / "describe-enclaves").write_text(json.dumps(told))

    @property
    def commands(self) -> list[str]:
        """The command lines that changed something."""
        log = self._folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if line != "nitro-cli describe-enclaves"]

    def ledger(self, run: str, *things: tuple[str, str | None], end: str = "") -> Path:
        folder = self.runs / run
        folder.mkdir()
        lines = [
            json.dumps({"step": step, "what": what, "name": name, "state": state})
            for step, (what, name) in enumerate(things, start=1)
            for state in ("begun", "made" if name else "begun")
        ]
        (folder / "ledger.jsonl").write_text("\n".join(lines) + "\n" + end)
        return folder

    def clean(self, *words: str) -> tuple[int, str]:
        """The exit code and all that was printed."""
        self._capture.readouterr()
        exit_code = main(["hardware", "clean", "--folder", str(self.runs), *words])
        told = self._capture.readouterr()
        return exit_code, told.out + told.err


_PROGRAM = """#!/bin/sh
echo "{name} $*" >> {folder}/log
case "$1" in
describe-enclaves) cat {folder}/describe-enclaves ;;
terminate-enclave) echo '[]' > {folder}/describe-enclaves; echo '{{}}' ;;
image) [ -e {folder}/held ] && {{ echo "conflict: image is used" >&2; exit 1; }}
       case "$4" in *gone*) echo "Error: No such image: $4" >&2; exit 1 ;; esac ;;
esac
exit 0
"""


@pytest.fixture
def world(
    services: Aws,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> World:
    for name, value in services.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    services.forget()
    return World(services, tmp_path, capsys)


def test_only_keys_with_the_tag_are_touched(world: World) -> None:
    ours, also_ours = world.aws.key(run=RUN), world.aws.key(run=OTHER_RUN, Owner="me")
    others = [world.aws.key(), world.aws.key(Owner="them"), world.aws.key(**{"attested-kms": RUN})]
    exit_code, told = world.clean("--yes")
    assert exit_code == 0, told
    assert [world.aws.state(arn) for arn in (ours, also_ours)] == ["PendingDeletion"] * 2
    assert [world.aws.state(arn) for arn in others] == ["Enabled"] * 3
    assert not any(arn in told for arn in others)
    assert told.index("To be done in eu-central-1") < told.index(f"done: disable key {ours} of run")
    remaining = told.partition("What remains:")[2]
    assert f"key {ours} of run {RUN}: PendingDeletion, deleted on " in remaining
    assert f"key {also_ours} of run {OTHER_RUN}: PendingDeletion" in remaining
    assert [one["ResourceTypeFilters"] for one in world.aws.asked][:2] == [["kms:key"]] * 2
    metadata = world.aws.kms.describe_key(KeyId=ours)["KeyMetadata"]
    assert metadata["Enabled"] is False


def test_of_one_run_only(world: World) -> None:
    ours, other = world.aws.key(run=RUN), world.aws.key(run=OTHER_RUN)
    exit_code, told = world.clean("--yes", "--run", RUN)
    assert exit_code == 0, told
    assert (world.aws.state(ours), world.aws.state(other)) == ("PendingDeletion", "Enabled")
    assert other not in told


def test_a_key_that_waits_is_listed_and_left(world: World) -> None:
    waiting = world.aws.key(run="attested-kms-waiting")
    world.aws.kms.schedule_key_deletion(KeyId=waiting.split("/")[1], PendingWindowInDays=20)
    date = world.aws.kms.describe_key(KeyId=waiting)["KeyMetadata"]["DeletionDate"]
    exit_code, told = world.clean("--yes", "--run", "attested-kms-waiting")
    assert exit_code == 0, told
    assert "To be done in eu-central-1 and on this instance:\n  nothing\n" in told
    assert f"deleted on {date:%Y-%m-%d}" in told
    after = world.aws.kms.describe_key(KeyId=waiting)["KeyMetadata"]["DeletionDate"]
    assert after == date


def test_where_tagging_is_not_permitted_every_key_is_asked(world: World) -> None:
    ours, other = world.aws.key(run=RUN), world.aws.key()
    world.aws.tagging_is_permitted = False
    exit_code, told = world.clean("--yes", "--run", RUN)
    assert exit_code == 0, told
    assert "note: tag:GetResources is not permitted, so every key" in told
    assert (world.aws.state(ours), world.aws.state(other)) == ("PendingDeletion", "Enabled")


def test_dry_run_changes_nothing(world: World) -> None:
    ours = world.aws.key(run=RUN)
    folder = world.ledger(RUN, ("enclave", ENCLAVE), ("docker image", f"{RUN}:latest"))
    world.enclaves((ENCLAVE, RUN))
    exit_code, told = world.clean("--dry-run")
    assert exit_code == 0, told
    assert f"  disable key {ours} of run {RUN} and schedule its deletion" in told
    assert f"  terminate enclave {ENCLAVE} of run {RUN}" in told
    assert f"  remove docker image {RUN}:latest of run {RUN}" in told
    assert f"  remove the folder {folder} of run {RUN}" in told
    assert "Nothing was done: --dry-run." in told
    assert (world.aws.state(ours), world.commands, folder.exists()) == ("Enabled", [], True)


def test_without_a_terminal_nobody_can_be_asked(world: World) -> None:
    ours = world.aws.key(run=RUN)
    exit_code, told = world.clean()
    assert exit_code == 2
    assert f"disable key {ours}" in told
    assert "standard input is no terminal" in told
    assert world.aws.state(ours) == "Enabled"


@pytest.mark.parametrize(
    ("answer", "exit_code", "state"), [("n", 1, "Enabled"), ("", 1, "Enabled"), ("y", 0, "P")]
)
def test_who_is_asked_decides(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: str, exit_code: int, state: str
) -> None:
    ours = world.aws.key(run=RUN)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert world.clean("--run", RUN)[0] == exit_code
    assert world.aws.state(ours).startswith(state)


def test_only_what_stands_in_a_ledger_is_removed(world: World) -> None:
    folder = world.ledger(
        RUN,
        ("docker image", f"{RUN}:latest"),
        ("docker image", "somebody:else"),
        ("docker image", f"{RUN}:gone"),
        ("enclave", ENCLAVE),
        ("kms-key", None),
    )
    world.enclaves((ENCLAVE, "scenarios"), (OTHER_ENCLAVE, "theirs"))
    (world.runs / "theirs").mkdir()
    exit_code, told = world.clean("--yes")
    assert exit_code == 0, told
    assert world.commands == [
        f"nitro-cli terminate-enclave --enclave-id {ENCLAVE}",
        f"docker image rm --force {RUN}:gone",
        f"docker image rm --force {RUN}:latest",
    ]
    assert OTHER_ENCLAVE not in told
    assert not folder.exists()
    assert (world.runs / "theirs").exists()


def test_an_enclave_that_perhaps_started_is_known_by_its_name(world: World) -> None:
    world.ledger(RUN, ("enclave", None))
    world.enclaves((OTHER_ENCLAVE, "theirs"), (ENCLAVE, f"{RUN}-scenarios"))
    exit_code, told = world.clean("--yes")
    assert exit_code == 0, told
    assert world.commands == [f"nitro-cli terminate-enclave --enclave-id {ENCLAVE}"]


def test_an_enclave_of_a_scenario_is_known_by_its_image(world: World) -> None:
    folder = world.ledger(RUN, ("enclaves of a scenario", "work/scenario-files"))
    waits = "import sys; sys.stdin.read()"
    words = [sys.executable, "-c", waits, "--eif-path", f"{folder}/work/scenario-files/app.eif"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        told = {"EnclaveID": ENCLAVE, "EnclaveName": "app", "ProcessID": process.pid}
        theirs = {"EnclaveID": OTHER_ENCLAVE, "EnclaveName": "app", "ProcessID": os.getpid()}
        world.describe(theirs, told)
        exit_code, printed = world.clean("--yes")
        process.communicate()
    assert exit_code == 0, printed
    assert world.commands == [f"nitro-cli terminate-enclave --enclave-id {ENCLAVE}"]


def test_a_key_that_stands_in_a_ledger_without_its_tag(world: World) -> None:
    key = world.aws.key()
    world.ledger(RUN, ("kms-key", key))
    exit_code, told = world.clean("--yes")
    assert exit_code == 0, told
    assert world.aws.state(key) == "PendingDeletion"


def test_a_run_that_goes_on_is_left_alone(world: World) -> None:
    key = world.aws.key(run=RUN)
    this = str(this_process()["name"])
    folder = world.ledger(RUN, ("run", this), ("enclave", ENCLAVE), ("process", "dial"))
    world.enclaves((ENCLAVE, RUN))
    exit_code, told = world.clean("--yes", "--run", RUN)
    assert exit_code == 0, told
    assert "it still goes on" in told
    assert (world.aws.state(key), world.commands, folder.exists()) == ("Enabled", [], True)


def test_a_process_of_the_same_number_is_another(world: World) -> None:
    folder = world.ledger(RUN, ("folder", "work"), ("run", f"{os.getpid()} 1"))
    exit_code, told = world.clean("--yes")
    assert exit_code == 0, told
    assert not folder.exists()


def test_what_cannot_be_removed_remains_with_its_ledger(world: World) -> None:
    folder = world.ledger(RUN, ("docker image", f"{RUN}:latest"))
    (folder.parents[1] / "held").touch()
    exit_code, told = world.clean("--yes")
    assert exit_code == 1
    assert "failed: remove docker image" in told
    assert "conflict: image is used" in told
    assert f"run {RUN} in {folder}: docker image {RUN}:latest" in told.partition("What remains")[2]


def test_a_run_that_ended_well_keeps_its_logs(world: World) -> None:
    folder = world.ledger(RUN, ("enclave", ENCLAVE))
    line = {"step": 1, "what": "enclave", "name": ENCLAVE, "state": "undone"}
    with (folder / "ledger.jsonl").open("a") as ledger:
        ledger.write(json.dumps(line) + "\n")
    assert world.clean("--yes")[0] == 0
    assert folder.exists()


def test_a_ledger_that_was_cut_short_is_read_to_there(world: World) -> None:
    folder = world.ledger(RUN, ("enclave", ENCLAVE), end='{"step": 2, "wh')
    assert world.clean("--yes")[0] == 0
    assert not folder.exists()


@pytest.mark.parametrize("text", ["[1]\n", "no json\n", '{"step": 1}\n'])
def test_a_damaged_ledger_is_told_and_left(world: World, text: str) -> None:
    folder = world.ledger(RUN)
    (folder / "ledger.jsonl").write_text(text)
    _, told = world.clean("--yes")
    assert "cannot be read, so its run was not touched" in told
    assert folder.exists()


def test_a_ledger_of_somebody_else_is_not_believed(world: World, tmp_path: Path) -> None:
    real = world.ledger(RUN, ("enclave", ENCLAVE))
    real.rename(tmp_path / "real")
    real.symlink_to(tmp_path / "real")
    world.enclaves((ENCLAVE, "scenarios"))
    exit_code, told = world.clean("--yes")
    assert "was not read" in told
    assert (exit_code, world.commands) == (0, [])


def test_without_aws_the_instance_is_cleaned_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ledger(RUN, ("enclave", ENCLAVE))
    world.enclaves((ENCLAVE, RUN))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    exit_code, told = world.clean("--yes")
    assert exit_code == 1
    assert "not looked for: the keys of runs in eu-central-1: " in told
    assert world.commands == [f"nitro-cli terminate-enclave --enclave-id {ENCLAVE}"]
    assert "not done, for the ledger in it is still needed: remove the folder" in told


def test_wrong_usage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    exit_code, told = world.clean("--yes")
    assert exit_code == 2
    assert "give --region NAME, or set AWS_REGION" in told
    with pytest.raises(SystemExit, match="2"):
        world.clean("--run", "../etc")
