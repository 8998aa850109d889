"""A machine that is written down: what its folder may say, and what is wrong with one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from simulator.doctor.folder import FolderHost
from simulator.doctor.host import (
    CommandHangs,
    CommandMissing,
    NetworkNotAsked,
    PathKind,
    Unreachable,
)
from simulator.user_files import BadFile
from tests.simulator.doctor_hosts import command, host

KMS = "https://kms.us-east-1.amazonaws.com/"


def test_files_are_those_below_root(tmp_path: Path) -> None:
    made = host(tmp_path, {"/etc/os-release": 'ID="amzn"\n', "/etc/nitro_enclaves/a.yaml": b"\xff"})
    assert made.read("/etc/os-release") == b'ID="amzn"\n'
    assert made.read("/etc/nitro_enclaves/../nitro_enclaves/a.yaml") == b"\xff"
    assert made.entries("/etc") == ["nitro_enclaves", "os-release"]
    assert made.look("/etc") is PathKind.FOLDER
    assert made.look("/etc/os-release") is PathKind.FILE
    assert made.look("/etc/os-release/x") is None
    with pytest.raises(FileNotFoundError) as caught:
        made.read("/etc/none")
    assert caught.value.filename == "/etc/none"


def test_links_stay_below_root(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of this system")
    made = host(tmp_path / "machine", {"/etc/passwd": "root", "/usr/lib/real": "file"})
    root = tmp_path / "machine/root"
    for name, target in {
        "absolute": "/etc/passwd",
        "climbing": "../../../../../../etc/passwd",
        "out": f"{tmp_path}/secret",
        "up": "../../secret",
        "folder": "/usr",
        "round": "round",
    }.items():
        (root / "etc" / name).symlink_to(target)
    assert made.read("/etc/absolute") == made.read("/etc/climbing") == b"root"
    assert made.read("/etc/folder/lib/real") == b"file"
    assert made.entries("/etc/folder/lib/..") == ["lib"]
    assert (made.look("/etc/out"), made.look("/etc/up")) == (None, None)
    with pytest.raises(FileNotFoundError):
        made.read("/etc/out")
    with pytest.raises(OSError, match="/etc/round") as caught:
        made.look("/etc/round")
    assert caught.value.errno == errno.ELOOP


def test_what_is_denied_is_not_read_but_seen(tmp_path: Path) -> None:
    made = host(
        tmp_path,
        {"/etc/shadow": "secret", "/root/key": "secret"},
        denied=["/etc/shadow", "/root"],
        writable=["/"],
    )
    assert made.look("/etc/shadow") is PathKind.FILE
    assert made.look("/root") is PathKind.FOLDER
    assert not made.may_write("/root/key")
    for question in (
        lambda: made.read("/etc/shadow"),
        lambda: made.entries("/root"),
        lambda: made.look("/root/key"),
        lambda: made.read("/root/key"),
    ):
        with pytest.raises(PermissionError):
            question()


def test_devices_and_folders_need_no_file(tmp_path: Path) -> None:
    made = host(
        tmp_path,
        devices=["/dev/nsm", "/dev/vsock"],
        sockets=["/run/docker.sock"],
        writable=["/root", "/dev/nsm"],
    )
    assert made.look("/run/docker.sock") is PathKind.SOCKET
    assert made.look("/dev/nsm") is PathKind.DEVICE
    assert made.entries("/dev") == ["nsm", "vsock"]
    assert (made.look("/root"), made.entries("/root")) == (PathKind.FOLDER, [])
    assert made.may_write("/root")
    assert made.may_write("/dev/nsm")
    assert not made.may_write("/dev/vsock")
    assert not made.may_write("/root/none")
    with pytest.raises(OSError, match="/dev/nsm"):
        made.read("/dev/nsm")


def test_commands_say_what_is_written(tmp_path: Path) -> None:
    made = host(
        tmp_path,
        {"/opt/tool": ""},
        commands=[
            command("rpm", "-q", "gcc", exit_code=1, stdout="package gcc is not installed\n"),
            command("nitro-cli", "describe-enclaves", hangs=True),
            command("dmesg", stdout={"base64": "/yBvaw=="}, stderr="oh"),
        ],
    )
    ran = made.run("rpm", "-q", "gcc")
    assert (ran.exit_code, ran.stdout, ran.stderr) == (1, "package gcc is not installed\n", "")
    assert made.run("dmesg").stdout == "� ok"
    with pytest.raises(CommandHangs, match="did not end within 10 seconds"):
        made.run("nitro-cli", "describe-enclaves")
    with pytest.raises(CommandMissing, match=r"^gcc$"):
        made.run("gcc", "--version")
    with pytest.raises(OSError, match=r"does not say what `rpm -qa` prints"):
        made.run("rpm", "-qa")
    assert made.which("rpm") == "/usr/bin/rpm"
    assert made.which("rpm", "/opt") is None
    assert made.which("tool", "/opt:/usr/bin") == "/opt/tool"
    assert made.which("gcc") is None


def test_servers_answer_what_is_written_and_nobody_is_asked(tmp_path: Path) -> None:
    answers = [
        {"url": KMS, "status": 404, "headers": {"Date": "now"}, "body": "no"},
        {"url": "http://127.0.0.1:1/", "method": "PUT"},
        {"url": "http://127.0.0.1:2/", "unreachable": "nobody is there"},
    ]
    made = host(tmp_path, answers=answers)
    answer = made.fetch(KMS)
    assert (answer.status, answer.headers, answer.body) == (404, {"date": "now"}, b"no")
    assert made.fetch("http://127.0.0.1:1/", method="PUT").status == 200
    with pytest.raises(Unreachable, match=r"^nobody is there$"):
        made.fetch("http://127.0.0.1:2/")
    with pytest.raises(Unreachable, match=r"host\.json has no answer of 127\.0\.0\.1:1"):
        made.fetch("http://127.0.0.1:1/")
    with pytest.raises(NetworkNotAsked):
        made.fetch(f"{KMS}other")
    with pytest.raises(Unreachable):
        FolderHost(tmp_path, network=True).fetch(f"{KMS}other")


def test_who_asks_and_when(tmp_path: Path) -> None:
    assert host(tmp_path).name == str(tmp_path)
    assert host(tmp_path, name="i-1").name == "i-1"
    made = host(tmp_path, user_id=1000, now=1.5, environ={"HOME": "/root"})
    assert (made.user_id, made.now(), dict(made.environ)) == (1000, 1.5, {"HOME": "/root"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "host.json"),
        ("[]", "must be an object"),
        ("{}", "format is missing"),
        ('{"format": 2}', "the number 1"),
        ('{"format": 1, "comands": []}', "is commands meant?"),
        ('{"format": 1, "devices": ["nsm"]}', "must be an absolute path"),
        ('{"format": 1, "environ": {"HOME": 1}}', "must be text"),
        ('{"format": 1, "environ": {"HOME": "\\u0000"}}', "without the character NUL"),
        ('{"format": 1, "commands": [{"words": []}]}', "a list of the words"),
        ('{"format": 1, "commands": [{"words": ["a"], "stdout": {"base64": "*"}}]}', "base64"),
        ('{"format": 1, "answers": [{"status": 200}]}', "url is missing"),
        ('{"format": 1, "answers": [{"url": "http://a", "status": 99}]}', "a status of HTTP"),
        ('{"format": 1, "environ": {"HOME": "/\\ud800"}}', "half a character"),
        ("[" * 100_000, "host.json"),
    ],
)
def test_a_folder_that_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "host.json").write_text(text)
    with pytest.raises(BadFile, match=r"host\.json") as caught:
        FolderHost(tmp_path)
    assert said in str(caught.value)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="there is no such folder"):
        FolderHost(tmp_path / "none")
    with pytest.raises(BadFile, match=r"host\.json: cannot be read"):
        FolderHost(tmp_path)


def test_a_description_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "host.json")
    with pytest.raises(BadFile, match=r"host\.json: it is no file, and is not read"):
        FolderHost(tmp_path)
