"""What `attested-kms lint` reads and refuses, and how it answers."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nsm_fake.eif import identity, write_eif
from simulator import cli
from simulator.images import cpio
from simulator.lint.boot_report import Outcome
from tests.simulator.image_archives import APP, saved
from tests.simulator.lint_world import (
    GOOD_DOCKERFILE,
    archive,
    dockerfile,
    enclave,
    ids,
    linted,
)

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "simulator" / "schemas" / "lint.schema.json").read_text())
BUG_1 = 'FROM scratch\nCOPY app /\nENTRYPOINT ["/app"]\nCMD ["--mode", "vsock"]\n'


def inspected(**config: Any) -> str:
    return json.dumps(
        [{"Id": "sha256:0", "Architecture": "amd64", "Os": "linux", "Config": config}]
    )


def test_what_docker_inspect_prints(tmp_path: Path) -> None:
    path = tmp_path / "inspected.json"
    path.write_text(inspected(Entrypoint=["/app"], Cmd=["--x"], User="", WorkingDir="/"))
    result = linted(path)
    assert ids(result) == ["entrypoint-dropped"]
    assert result.findings[0].found.boot.console[0] == "execvpe: --x: No such file or directory"
    path.write_text(inspected(Entrypoint=["/app"], Cmd=None))
    result = linted(path)
    assert ids(result) == []
    assert "docker save" in result.undecided[0]
    path.write_text(inspected(Entrypoint=["/app"], Cmd=[]))
    assert ids(linted(path)) == ["empty-command"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty, or no text"),
        ("\0", "empty, or no text"),
        ("[1", "is none"),
        ("[]", "describes 0 images"),
        ('{"Id": "x"}', "there is no Config"),
        ('[{"Config": {"Cmd": "x"}}]', "`Cmd` is not a list"),
        ("FROM\n", "FROM needs an argument"),
        ("RUN x\n", "before the first FROM"),
        ("ARG X=1\n", "no FROM"),
        ("hello world\n", "no instruction hello"),
        ("FROM scratch\nCMD\n", "CMD needs an argument"),
        (".eif" + "x" * 600, "e.eif"),
    ],
)
def test_what_is_none_of_these(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "input"
    path.write_text(text)
    assert cli.main(["lint", str(path)]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"attested-kms lint: {path}")
    assert said in message or said == "e.eif"


def test_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "app.eif"
    empty.touch()
    for path in (tmp_path / "absent", empty, tmp_path):
        assert cli.main(["lint", str(path)]) == 2
        assert str(path) in capsys.readouterr().err


def test_an_eif_that_is_cut_short(tmp_path: Path) -> None:
    path = enclave(tmp_path / "app.eif")
    data = path.read_bytes()
    for length in (3, 100, 600, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        assert cli.main(["lint", str(path)]) == 2


def test_one_of_several_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "image.tar", APP, tag="app:7")
    assert cli.main(["lint", str(path), "--image", "other:1"]) == 2
    assert "app:7" in capsys.readouterr().err
    assert ids(linted(path, image="app:7")) == ["interpreter-missing"]


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = str(dockerfile(tmp_path / "good", GOOD_DOCKERFILE))
    assert cli.main(["lint", good]) == 0
    assert "Whether the program" in capsys.readouterr().out
    assert cli.main(["lint", good, "--strict"]) == 1
    assert cli.main(["lint", str(archive(tmp_path / "image.tar")), "--strict"]) == 0
    user = str(dockerfile(tmp_path / "user", GOOD_DOCKERFILE + "EXPOSE 80\n"))
    assert cli.main(["lint", user]) == 0
    assert cli.main(["lint", user, "--fail-on", "info"]) == 1
    assert cli.main(["lint", str(tmp_path / "user"), "--fail-on", "info"]) == 1
    bug = str(dockerfile(tmp_path / "bug", BUG_1))
    assert cli.main(["lint", bug, "--fail-on", "error"]) == 1
    assert cli.main(["lint", bug, "--fail-on", "none"]) == 0


def test_an_eif_that_has_changed_is_not_looked_into(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = enclave(tmp_path / "app.eif")
    content = path.read_bytes()
    path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    assert cli.main(["lint", str(path)]) == 2
    assert "the file has changed since it was built" in capsys.readouterr().err


def test_the_text_tells_the_whole_story(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BUG_1.encode())))
    assert cli.main(["lint", "-"]) == 1
    shown = capsys.readouterr().out
    for part in (
        "error: entrypoint-dropped: ",
        'where   line 3: ENTRYPOINT ["/app"]',
        'runs      ["--mode", "vsock"]',
        "console   execvpe: --mode: No such file or directory",
        "console   reboot: Restarting system",
        "nitro-cli describe-enclaves: []",
        "E45",
        "1 error, 0 warnings, 0 notes",
    ):
        assert part in shown


def test_json_is_as_its_schema_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    inputs = [
        dockerfile(tmp_path / "bug", BUG_1),
        dockerfile(tmp_path / "good", GOOD_DOCKERFILE),
        archive(tmp_path / "none.tar", Cmd=None),
        enclave(tmp_path / "app.eif", User="app"),
    ]
    answers = []
    for path in inputs:
        exit_code = cli.main(["lint", "--json", str(path)])
        answer = json.loads(capsys.readouterr().out)
        jsonschema.validate(answer, SCHEMA)
        assert answer["exit_code"] == exit_code
        answers.append(answer)
    bug, good, none, eif = answers
    assert bug["findings"][0]["line"] == 3
    assert bug["boot"]["seen"]["describe-enclaves"] == "[]"
    assert (good["boot"], good["input"]["form"]) == (None, "Dockerfile")
    assert none["boot"]["outcome"] == "not built"
    assert (eif["boot"]["outcome"], eif["input"]["form"]) == ("runs", "EIF")


def ramdisk(**files: bytes | None) -> bytes:
    buffer = io.BytesIO()
    writer = cpio.Writer(buffer)
    for name, content in files.items():
        kind = cpio.DIRECTORY if content is None else cpio.FILE
        writer.add(cpio.Header(name.replace("_", "/"), kind, 0o755), content or b"")
    writer.close()
    return buffer.getvalue()


METADATA = identity(
    name="app",
    version="1",
    build_time="now",
    build_tool="another",
    build_tool_version="1",
    operating_system="Linux",
    kernel_version="6",
    docker_info=None,
    custom=None,
)
ROOTFS = {f"rootfs_{name}": None for name in ("dev", "proc", "run", "sys", "tmp")}
WHOLE = {"rootfs": None, **ROOTFS, "rootfs_app": b"#!/bin/sh\n", "cmd": b"/app\n", "env": b""}


@pytest.mark.parametrize(
    ("missing", "console"),
    [
        (
            "rootfs_run",
            ("mount: /run: No such file or directory", "exitcode=0x00000200"),
        ),
        ("env", ("Could not open /env file: No such file or directory", "exitcode=0x0000000b")),
    ],
)
def test_an_eif_of_another_builder(missing: str, console: tuple[str, str], tmp_path: Path) -> None:
    """Without metadata of the image, and with what its builder forgot."""
    files = {name: content for name, content in WHOLE.items() if name != missing}
    result = linted(_eif(tmp_path, ramdisk(**files)))
    assert "ramdisk-incomplete" in ids(result)
    assert result.boot is not None
    assert result.boot.outcome is Outcome.INIT_DIES
    assert result.boot.console[0] == console[0]
    assert result.boot.console[1].endswith(console[1])
    whole = linted(_eif(tmp_path, ramdisk(**WHOLE)))
    assert ids(whole) == ["interpreter-missing"]
    assert whole.subject.argv == ("/app",)


def _eif(tmp_path: Path, application: bytes) -> Path:
    parts = {"boot": ramdisk(init=b"init"), "application": application}
    for name, data in parts.items():
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "app.eif").open("w+b") as file:
        write_eif(
            file,
            kernel=b"kernel",
            cmdline=b"reboot=k",
            ramdisks=[tmp_path / name for name in parts],
            metadata=METADATA,
            arm64=False,
            signer=None,
        )
    return tmp_path / "app.eif"


def test_nothing_of_an_image_steers_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "inspected.json"
    path.write_text(inspected(Cmd=["\x1b[31m/app\ud800"], User="\x07app"))
    assert cli.main(["lint", str(path)]) == 1
    path.write_text("FR\x1b[31mOM scratch\n")
    assert cli.main(["lint", str(path)]) == 2
    shown = "".join(capsys.readouterr())
    assert "\\x1b[31m" in shown
    assert all(each.isprintable() for each in shown.replace("\n", ""))
