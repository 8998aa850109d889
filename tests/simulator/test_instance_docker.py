"""`docker` of the instance: its images are the machine's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import cli
from simulator.images.store import ImageStore
from simulator.instance import docker
from simulator.machine.configuration import Configuration
from simulator.machine.making import Installation, make
from simulator.nitro_cli import docker_engine
from simulator.packages import dnf, systemctl
from simulator.shim import ALL, write_all

Said = tuple[int, str, str]
Run = Callable[[str], Said]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Of an instance whose daemon is started, in a folder with a Dockerfile in `app/`."""
    machine = tmp_path / "machine"
    monkeypatch.setenv("ATTESTED_KMS_MACHINE", str(machine))
    monkeypatch.chdir(tmp_path)
    make(machine, Configuration(), Installation(runs_allocator=False))
    Path("app").mkdir()
    Path("app/Dockerfile").write_text('FROM scratch\nCOPY Dockerfile /app\nCMD ["/app"]\n')

    def run(words: str) -> Said:
        exit_code = docker.main(words.split(" "))
        said = capfd.readouterr()
        return exit_code, said.out, said.err

    assert systemctl.main(["start", "docker"]) == 0
    return run


def test_an_image_is_built_listed_inspected_and_removed(run: Run, tmp_path: Path) -> None:
    code, identifier, err = run("build -q -t app:1 -t other app")
    assert (code, err) == (0, "")
    short = identifier.removeprefix("sha256:")[:12]
    assert run("images --format {{.Repository}}:{{.Tag}}") == (0, "app:1\nother:latest\n", "")
    assert run("image ls -q app") == (0, f"{short}\n", "")
    assert run("images --filter reference=o*:latest --format {{.ID}}") == (0, f"{short}\n", "")
    (inspected,) = json.loads(run("image inspect app:1")[1])
    assert (inspected["Id"], inspected["Config"]["Cmd"]) == (identifier.strip(), ["/app"])
    conflict = "(must be forced) - image is referenced in multiple repositories\n"
    assert run(f"rmi {short}")[2].endswith(conflict)
    assert run("rmi app:1") == (0, "Untagged: app:1\n", "")
    assert run("image rm other") == (0, f"Untagged: other:latest\nDeleted: {identifier}", "")
    assert {path.name for path in (tmp_path / "machine" / "images").iterdir()} == {
        *("store.json", "lock")
    }


def test_another_dockerfile_and_its_arguments(run: Run, tmp_path: Path) -> None:
    Path("Other").write_text(
        'FROM scratch\nARG NAME=a\nCOPY Dockerfile /x\nENV N=$NAME\nCMD ["b"]\n'
    )
    assert run("build --tag=app --build-arg NAME=c --file Other app")[0] == 0
    image = ImageStore(tmp_path / "machine" / "images").find("app")
    assert image is not None
    assert "N=c" in image.config.env


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("build -t a nowhere", 1, 'ERROR: unable to prepare context: path "nowhere" not found'),
        (
            "build -t a -f No app",
            1,
            "ERROR: failed to solve: failed to read dockerfile: open No: no such file or directory",
        ),
        ("rmi nope", 1, "Error response from daemon: No such image: nope:latest"),
        ("rmi -f nope", 0, "Error response from daemon: No such image: nope:latest"),
        ("image inspect nope", 1, "Error response from daemon: No such image: nope:latest"),
        ("build -t", 125, "flag needs an argument: -t"),
        ("build app", 70, "docker (attested-kms): an image without a name is not simulated"),
        ("run app", 70, "docker (attested-kms): run app is not simulated; those that are: build"),
        ("images --tree", 70, "docker (attested-kms): the option --tree is not simulated"),
        ("info --format {{if}}", 70, "docker (attested-kms): the template {{if}} is not"),
    ],
)
def test_what_fails_says_why(run: Run, words: str, code: int, text: str) -> None:
    exit_code, _, err = run(words)
    assert (exit_code, err[: len(text)]) == (code, text)


def test_a_dockerfile_that_takes_a_real_engine(run: Run) -> None:
    Path("app/Dockerfile").write_text('FROM scratch\nRUN make\nCMD ["/app"]\n')
    code, out, err = run("build -t app app")
    assert (code, out) == (1, "")
    assert err.startswith("ERROR: failed to solve: ")
    assert "RUN" in err


def test_versions(run: Run) -> None:
    assert run("version --format {{.Server.Version}}")[1] == "25.0.8\n"
    assert run("--version")[1].startswith("Docker version 25.0.8")
    assert "Server Version: 25.0.8" in run("info")[1]
    assert run("info --format {{json.Images}}")[0] == 70
    assert run("info --format {{.Images}}") == (0, "0\n", "")


def test_a_daemon_that_is_not_started(run: Run) -> None:
    systemctl.main(["stop", "docker"])
    text = (
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
        "Is the docker daemon running?\n"
    )
    assert run("images") == (1, "", text)
    code, out, err = run("version")
    assert (code, err) == (1, text)
    assert out.startswith("Client:")
    assert run("version --format {{.Client.Version}}")[0] == 0


def test_it_comes_and_goes_with_its_package(run: Run) -> None:
    dnf.main(["remove", "-q", "-y", "docker"])
    assert run("images")[::2] == (127, "bash: docker: command not found\n")


def test_nitro_cli_asks_no_engine_that_is_the_machine_s_own(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(tmp_path / "bin", {"docker": ALL["docker"]}, None)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert run("build -q -t app app")[0] == 0
    assert not docker_engine.answers()
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "real" / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{tmp_path / 'real'}")
    assert docker_engine.answers()


def test_shims_for_this_system_s_path_leave_its_own_docker(tmp_path: Path) -> None:
    assert cli.main(["shims", str(tmp_path / "bin"), "--packages"]) == 0
    assert not (tmp_path / "bin" / "docker").exists()
    assert (tmp_path / "bin" / "cargo").exists()
