"""Doctor's view of the machine it runs on: commands that hang or babble, files that are none."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server

import pytest

from simulator.doctor.host import (
    MOST_BYTES,
    CommandHangs,
    CommandMissing,
    NetworkNotAsked,
    PathKind,
    Unreachable,
)
from simulator.doctor.this_machine import ThisMachine

SHORT = 0.5


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> ThisMachine:
    return ThisMachine({"PATH": f"{tmp_path}:{os.environ['PATH']}"})


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_command_is_run_in_plain_english_and_without_input(
    host: ThisMachine, tmp_path: Path
) -> None:
    program(tmp_path, "ask", 'cat; echo "$LC_ALL $*"; echo oh >&2; exit 3')
    ran = host.run("ask", "one two")
    assert (ran.exit_code, ran.stdout, ran.stderr) == (3, "C one two\n", "oh\n")


def test_a_signal_is_a_negative_exit_code(host: ThisMachine, tmp_path: Path) -> None:
    program(tmp_path, "die", "kill -9 $$")
    assert host.run("die").exit_code == -9


def test_a_command_that_is_not_there_is_missing(host: ThisMachine) -> None:
    with pytest.raises(CommandMissing, match=r"^no-such-command$"):
        host.run("no-such-command", "--version")


def test_a_hanging_command_is_killed_with_all_that_it_has_started(
    host: ThisMachine, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    # Both hold the pipe open, and say no more than that.
    program(tmp_path, "hang", f"exec 9> {shlex.quote(str(held))}\nsleep 600 &\necho up\nsleep 600")
    with pytest.raises(CommandHangs, match=r"`hang a b` did not end within 0\.5 seconds"):
        host.run("hang", "a", "b", seconds=SHORT)
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_process_that_a_command_leaves_behind_is_not_waited_for(
    host: ThisMachine, tmp_path: Path
) -> None:
    ended = tmp_path / "ended"
    os.mkfifo(ended)
    leave = "import os, sys\nif os.fork() == 0:\n    os.setsid()\n    open(sys.argv[1]).read()\n"
    script = f"echo done\nexec {shlex.quote(sys.executable)} -c {shlex.quote(leave)} {ended}"
    program(tmp_path, "leave", script)
    assert host.run("leave").stdout == "done\n"
    ended.open("w").close()  # It ends now: it has stayed until here, with its output open.


def test_bytes_that_are_no_text_are_replaced(host: ThisMachine, tmp_path: Path) -> None:
    program(tmp_path, "babble", r"printf '\377\376 ok'; printf '\200' >&2")
    ran = host.run("babble")
    assert (ran.stdout, ran.stderr) == ("�� ok", "�")


def test_output_without_end_is_bounded(host: ThisMachine, tmp_path: Path) -> None:
    program(tmp_path, "much", f"head -c {3 * MOST_BYTES} /dev/zero | tr '\\0' x")
    assert host.run("much").stdout == "x" * MOST_BYTES
    program(tmp_path, "endless", "exec yes")
    with pytest.raises(CommandHangs):
        host.run("endless", seconds=SHORT)


def test_a_program_that_cannot_be_executed_is_an_os_error(
    host: ThisMachine, tmp_path: Path
) -> None:
    (tmp_path / "broken").write_text("#!/no/such/shell\n")
    (tmp_path / "broken").chmod(0o755)
    with pytest.raises(OSError, match="No such file"):
        host.run("broken")


def test_commands_are_found_by_absolute_folders_of_path(host: ThisMachine, tmp_path: Path) -> None:
    program(tmp_path, "here", "")
    (tmp_path / "text").write_text("")
    assert host.which("here") == f"{tmp_path}/here"
    assert host.which("here", f".:relative::{tmp_path}/") == f"{tmp_path}/here"
    assert host.which("here", "") is None
    assert host.which("text") is None
    assert host.which(f"{tmp_path}/here") == f"{tmp_path}/here"
    assert host.which(f"{tmp_path}/text") is None


def test_what_is_at_a_path(host: ThisMachine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "lost").symlink_to("nowhere")
    (tmp_path / "round").symlink_to("round")
    os.mkfifo(tmp_path / "pipe")
    looked = {name: host.look(f"{tmp_path}/{name}") for name in ("file", "link", "lost", "pipe")}
    assert looked == {
        "file": PathKind.FILE,
        "link": PathKind.FILE,
        "lost": None,
        "pipe": PathKind.OTHER,
    }
    assert host.look(f"{tmp_path}/file/below") is None
    assert host.look(str(tmp_path)) is PathKind.FOLDER
    assert host.look("/dev/null") is PathKind.DEVICE
    with pytest.raises(OSError, match="round") as caught:
        host.look(f"{tmp_path}/round")
    assert caught.value.errno == errno.ELOOP


def test_files_are_read_without_waiting_and_not_beyond_a_limit(
    host: ThisMachine, tmp_path: Path
) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 33)
    os.mkfifo(tmp_path / "pipe")
    assert len(host.read(f"{tmp_path}/huge")) == MOST_BYTES
    assert host.read(f"{tmp_path}/pipe") == b""
    assert host.entries(str(tmp_path)) == ["huge", "pipe"]
    with pytest.raises(IsADirectoryError):
        host.read(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        host.read(f"{tmp_path}/none")


def test_what_may_be_written(host: ThisMachine, tmp_path: Path) -> None:
    assert host.may_write(str(tmp_path))
    assert not host.may_write(f"{tmp_path}/none")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_what_is_not_allowed(host: ThisMachine, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    (tmp_path / "secret").touch(mode=0)
    assert not host.may_write(f"{tmp_path}/closed")
    with pytest.raises(PermissionError):
        host.read(f"{tmp_path}/secret")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/there": 302, "/refused": 403}.get(self.path, 200)
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(self.headers.get("X-Given", self.path).encode())

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}"
        finally:
            serving.shutdown()
            thread.join()


def test_any_status_is_an_answer_and_a_redirect_is_not_followed(host: ThisMachine) -> None:
    with server() as url:
        statuses = [host.fetch(f"{url}{path}").status for path in ("/", "/there", "/refused")]
        answer = host.fetch(f"{url}/there", {"X-Given": "mine"}, method="PUT")
    assert statuses == [200, 302, 403]
    assert (answer.headers["location"], answer.body) == ("/elsewhere", b"mine")


def test_what_is_on_this_machine_is_asked_without_a_proxy(
    host: ThisMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with server() as url:
        assert host.fetch(url).status == 200


def test_nobody_there_or_nobody_who_speaks_http_is_said(host: ThisMachine) -> None:
    with create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unreachable, match=rf"^127\.0\.0\.1:{port} cannot be asked \(Connection"):
        host.fetch(f"http://127.0.0.1:{port}/path")
    with pytest.raises(Unreachable, match=rf"^127\.0\.0\.1:{port} stands with a user"):
        host.fetch(f"http://user:secret@127.0.0.1:{port}/path")
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=babble, args=(listener.accept,))
        thread.start()
        with pytest.raises(Unreachable, match="does not answer in HTTP"):
            host.fetch(f"http://127.0.0.1:{port}/")
        thread.join()
    for address in ("file:///etc/passwd", "http://[::1", "nothing"):
        with pytest.raises(Unreachable, match="no http or https address"):
            ThisMachine({}, network=True).fetch(address)


def babble(accept: object) -> None:
    assert callable(accept)
    connection, _ = accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(b"SSH-2.0-OpenSSH\r\n")


def test_a_question_may_have_less_time() -> None:
    with create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unreachable, match=rf"^127\.0\.0\.1:{port} (did not answer|cannot be)"):
            ThisMachine({}, network_seconds=0.2).fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "url",
    [
        "https://kms.us-east-1.amazonaws.com",
        "http://169.254.169.254/latest",
        "http://10.0.0.1",
        "http://localhost.example.com/",
    ],
)
def test_what_is_beyond_this_machine_is_not_asked(host: ThisMachine, url: str) -> None:
    with pytest.raises(NetworkNotAsked, match="is asked with --network only"):
        host.fetch(url)
