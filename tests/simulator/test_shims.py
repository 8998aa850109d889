"""`attested-kms shims` and `attested-kms nitro-cli`: the ways in which users reach nitro-cli."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from simulator import cli
from tests.simulator.nitro_cli_world import World

FULL = Path("/dev/full")


def shims(folder: Path, *more: str) -> int:
    return cli.main(["shims", str(folder), *more])


def test_the_shims_are_found_by_path(machine: World, tmp_path: Path) -> None:
    folder = tmp_path / "a b'c"
    answer = {"lines": ["Done."], "errors": ["bash: no"], "exit_code": 3}
    machine.answers["allocate"] = lambda _: [{"answer": answer}]
    assert shims(folder) == 0
    line = machine.capture.readouterr().out
    script = f"{line}\nset -e\nnitro-cli describe-enclaves\nexec nitro-enclaves-allocator"
    finished = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (finished.stdout, finished.stderr) == ("[]\nDone.\n", "bash: no\n")
    assert finished.returncode == 3


def test_the_shims_of_a_machine_ask_it_unless_another_is_named(
    machine: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = machine.folder.path
    monkeypatch.delenv("ATTESTED_KMS_MACHINE")
    assert shims(tmp_path, "--machine", str(folder)) == 0
    command = [str(tmp_path / "nitro-cli"), "describe-enclaves"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"[]\n"
    (tmp_path / "file").touch()
    other = os.environ | {"ATTESTED_KMS_MACHINE": str(tmp_path / "file")}
    finished = subprocess.run(command, capture_output=True, env=other, check=False)
    assert finished.returncode == 70


def test_shims_replace_themselves_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shims(tmp_path) == shims(tmp_path) == 0
    real = tmp_path / "nitro-enclaves-allocator"
    for make in (lambda: real.write_text("real"), lambda: real.symlink_to("nitro-cli"), real.mkdir):
        real.unlink()
        make()
        (tmp_path / "nitro-cli").unlink()
        assert shims(tmp_path) == 2
        assert f"{real} is not a shim of ours" in capsys.readouterr().err
        assert not (tmp_path / "nitro-cli").exists()
        (tmp_path / "nitro-cli").touch()


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert shims(tmp_path / "file" / "x") == 2
    assert "cannot be written (Not a directory)" in capsys.readouterr().err


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["nitro-cli describe-enclaves", "nitro-enclaves-allocator"])
def test_output_that_cannot_be_written_is_a_panic(
    machine: World, tmp_path: Path, command: str
) -> None:
    machine.answers["allocate"] = lambda _: [
        {"answer": {"lines": ["Done."], "errors": [], "exit_code": 0}}
    ]
    assert shims(tmp_path) == 0
    with FULL.open("wb") as full:
        finished = subprocess.run(
            [tmp_path / word if "nitro" in word else word for word in command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    said = b"failed printing: No space left on device (os error 28)\n"
    assert (finished.returncode, finished.stderr) == (101, said)


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_an_error_that_cannot_be_written_is_a_panic_too(machine: World, tmp_path: Path) -> None:
    assert machine.folder
    assert shims(tmp_path) == 0
    with FULL.open("wb") as full:
        finished = subprocess.run([tmp_path / "nitro-cli", "fly"], stderr=full, check=False)
    assert finished.returncode == 101


def test_a_current_folder_that_has_been_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert shims(Path("bin")) == 2
    assert cli.main(["machine", "status", "--machine", "m"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert ["cannot be written" in told[0], "has been removed" in told[1]] == [True, True]


@pytest.mark.parametrize("word", ["--help", "-V", "--", "help"])
def test_all_words_are_nitro_clis(machine: World, word: str) -> None:
    assert cli.main(["nitro-cli", word]) == (2 if word == "--" else 0)
    out, err = machine.capture.readouterr()
    assert (out + err).startswith(("CLI for enclave lifetime management", "Nitro CLI 1.4.4"))
