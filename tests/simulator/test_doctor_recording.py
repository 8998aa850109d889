"""A machine that is kept as a folder is found there as it was, without its secrets."""

from __future__ import annotations

import errno
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from simulator import cli
from simulator.doctor.folder import FolderHost
from simulator.doctor.host import (
    CommandHangs,
    CommandMissing,
    Host,
    NetworkNotAsked,
    PathKind,
    Unreachable,
)
from simulator.doctor.recording import RecordingHost
from simulator.doctor.redaction import without_secrets
from simulator.doctor.this_machine import ThisMachine
from tests.simulator.doctor_hosts import command, host

SECRET = "wJalrXUtnFEMI0K7MDENG0bPxRfiCYEXAMPLEKEY"  # noqa: S105  # AWS's own example.

_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE"  # Whose value is a path, and no secret.


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("Date", "Tue, 27 Jan 2026 19:10:11 GMT")
        self.end_headers()
        self.wfile.write(f'{{"Token" : "{SECRET}", "Code" : "Success"}}'.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def came_of(question: Callable[[], object]) -> object:
    """What it answers, or what it raises."""
    try:
        return question()
    except OSError as error:
        return error.errno
    except (CommandHangs, CommandMissing, NetworkNotAsked, Unreachable) as error:
        return type(error), str(error)


def seen(of: Host, folder: str, url: str) -> dict[str, object]:
    """Each question of the interface, and what came of it."""
    questions: dict[str, Callable[[], object]] = {
        "user": lambda: of.user_id,
        "home": lambda: of.environ.get("HOME"),
        "unset": lambda: of.environ.get("NOWHERE"),
        "device": lambda: of.look("/dev/null"),
        "nothing": lambda: of.look(f"{folder}/none"),
        "file": lambda: of.read(f"{folder}/file"),
        "bytes": lambda: of.read(f"{folder}/bytes"),
        "link": lambda: of.read(f"{folder}/link"),
        "no file": lambda: of.read(f"{folder}/none"),
        "folder": lambda: of.entries(f"{folder}/folder"),
        "in folder": lambda: of.look(f"{folder}/folder/inner"),
        "no folder": lambda: of.entries(f"{folder}/none"),
        "socket": lambda: of.look(f"{folder}/socket"),
        "may write": lambda: of.may_write(f"{folder}/folder"),
        "may not write": lambda: of.may_write(f"{folder}/none"),
        "program": lambda: of.which("tool"),
        "no program": lambda: of.which("tool", "/usr/bin"),
        "output": lambda: of.run("tool", "--version"),
        "no end": lambda: of.run("hang", seconds=0.2),
        "no command": lambda: of.run("none"),
        "beyond": lambda: of.fetch("https://kms.us-east-1.amazonaws.com/"),
        "nobody": lambda: of.fetch("http://127.0.0.1:1/"),
        "status": lambda: of.fetch(url).status,
        "date": lambda: of.fetch(url).headers["date"],
    }
    return {name: came_of(question) for name, question in questions.items()}


def test_each_question_is_answered_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = tmp_path / "machine"
    (machine / "folder/inner").mkdir(parents=True)
    (machine / "file").write_text("text\n")
    (machine / "bytes").write_bytes(b"\xff\x00")
    (machine / "link").symlink_to("file")
    for name, script in {"tool": "echo 1.0; echo oh >&2; exit 3", "hang": "exec sleep 600"}.items():
        (machine / name).write_text(f"#!/bin/sh\n{script}\n")
        (machine / name).chmod(0o755)
    this = ThisMachine({"PATH": f"{machine}:/usr/bin:/bin", "HOME": "/home/me", "OTHER": "x"})
    monkeypatch.chdir(machine)  # A socket's path is short.
    with (
        socket.socket(socket.AF_UNIX) as listener,
        HTTPServer(("127.0.0.1", 0), Handler) as server,
    ):
        listener.bind("socket")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/"
            recording = RecordingHost(this)
            then = seen(recording, str(machine), url)
        finally:
            server.shutdown()
            thread.join()
    recording.write(tmp_path / "kept")
    again = seen(FolderHost(tmp_path / "kept"), str(machine), url)
    assert again == then
    assert then["socket"] is PathKind.SOCKET
    assert then["status"] == 403
    kept = json.loads((tmp_path / "kept/host.json").read_text())
    assert set(kept["environ"]) == {"PATH", "HOME"}
    assert SECRET not in (tmp_path / "kept/host.json").read_text()


def test_what_is_denied_is_denied_again(tmp_path: Path) -> None:
    first = host(
        tmp_path / "first",
        {"/etc/shadow": "x", "/root/file": "x"},
        denied=["/etc/shadow", "/root"],
        commands=[command("odd", stdout={"base64": "/w=="})],
    )

    def asked(of: Host) -> list[object]:
        return [
            came_of(lambda: of.read("/etc/shadow")),
            came_of(lambda: of.entries("/root")),
            came_of(lambda: of.look("/root/file")),
            came_of(lambda: (of.look("/root"), of.look("/etc/shadow"))),
            came_of(lambda: of.run("odd").stdout),
        ]

    recording = RecordingHost(first)
    then = asked(recording)
    recording.write(tmp_path / "kept")
    assert asked(FolderHost(tmp_path / "kept")) == then
    assert then[0] == then[1] == then[2] == errno.EACCES


def test_secrets_are_left_out_of_files_and_variables(tmp_path: Path) -> None:
    machine = tmp_path / "machine"
    credentials = machine / "credentials"
    machine.mkdir()
    credentials.write_text(
        f"[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n"
    )
    environ = {"AWS_SECRET_ACCESS_KEY": SECRET, _FILE: "/run/token"}
    recording = RecordingHost(ThisMachine(environ))
    assert recording.environ["AWS_SECRET_ACCESS_KEY"] == SECRET
    assert recording.environ[_FILE] == "/run/token"
    recording.read(str(credentials))
    recording.write(tmp_path / "kept")
    kept = FolderHost(tmp_path / "kept")
    assert kept.environ["AWS_SECRET_ACCESS_KEY"] == "x" * len(SECRET)
    assert kept.environ[_FILE] == "/run/token"
    assert kept.read(str(credentials)).decode().splitlines() == [
        "[default]",
        "aws_access_key_id = AKIAxxxxxxxxxxxxxxxx",
        f"aws_secret_access_key = {'x' * len(SECRET)}",
    ]
    everything = [path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in content for content in everything)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"auth": "dXNlcjpwYXNz"}', '{"auth": "xxxxxxxxxxxx"}'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer xxxxxxx"),
        ("https://me:word@example.com/x", "https://xxxxxxx@example.com/x"),
        ("password=geheim, user=me", "password=xxxxxx, user=me"),
        ("API_KEY='abc'", "API_KEY='xxx'"),
        ("token_file: /run/token", "token_file: /run/token"),
        ("nothing secret here", "nothing secret here"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nafter",
            "-----BEGIN RSA PRIVATE KEY-----\nxxxx\nxxxx\n-----END RSA PRIVATE KEY-----\nafter",
        ),
        ("-----BEGIN PRIVATE KEY-----\ncut", "-----BEGIN PRIVATE KEY-----\nxxx"),
    ],
)
def test_what_looks_like_a_secret(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


def test_this_machine_is_kept_and_examined_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NITRO_CLI_ARTIFACTS", raising=False)
    words = ["doctor", "--as", "parent", "--only", "artifacts", "--json"]
    kept = tmp_path / "kept"
    assert cli.main([*words, "--this-machine", "--record", str(kept)]) == 0
    out, error = capsys.readouterr()
    assert f"{kept} has what was seen; look through it for secrets" in error
    assert cli.main([*words, "--host", str(kept)]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["findings"] == json.loads(out)["findings"]
    assert again["findings"][0]["outcome"] == "ok"


def test_a_folder_that_cannot_be_made_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = ["doctor", "--this-machine", "--only", "artifacts", "--record"]
    assert cli.main([*words, str(tmp_path / "file/below")]) == 2
    assert "cannot be written (Not a directory)" in capsys.readouterr().err
    assert cli.main([*words, str(tmp_path)]) == 2
    assert "give a folder that is new" in capsys.readouterr().err
