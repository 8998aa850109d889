"""What an enclave runs, in which surroundings, and what its console says (init.c)."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from simulator.interpose.plan import Rung
from simulator.machine.boot import BootFailed
from tests.simulator.booted import MOUNT_POINTS, SECONDS, Image, booted, output, shell_files

REBOOT = ["reboot: Restarting system", "reboot: machine restart"]


def without_times(lines: list[str]) -> list[str]:
    return [re.sub(r"^\[ *\d+\.\d{6}\] ", "", line) for line in lines]


def script(*lines: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", "; ".join(lines))


MISSING = "No such file or directory"

COMMANDS = {
    "a program by its path": (["/bin/sh", "-c", "echo yes"], ["yes"]),
    "the arguments of CMD, where ENTRYPOINT was dropped (bug 1)": (
        ["--x"],
        [f"execvpe: --x: {MISSING}", "child exited with error"],
    ),
    "the shell form on an image without a shell": (
        ["/no/sh", "-c", "/app"],
        [f"execvpe: /no/sh: {MISSING}", "child exited with error"],
    ),
    "a relative command, which WORKDIR does not find": (
        ["./app"],
        [f"execvpe: ./app: {MISSING}", "child exited with error"],
    ),
    "a name that is found, by init's PATH": (["sh", "-c", "echo yes"], ["yes"]),
    "a name that only the image's PATH would find": (
        ["app"],
        [f"execvpe: app: {MISSING}", "child exited with error"],
    ),
    "a program that ends at once": (["/bin/true"], []),
    "a program that fails": (["/bin/sh", "-c", "exit 3"], ["child exited with error"]),
    "a program that is killed": (["/bin/sh", "-c", "kill -9 $$"], ["child exited by signal"]),
    "an interpreter that is missing": (
        ["/usr/local/bin/app"],
        [f"execvpe: /usr/local/bin/app: {MISSING}", "child exited with error"],
    ),
    "a script without an interpreter's line": (["/bin/plain", "there"], ["hello there"]),
    "a file that may not be executed": (
        ["/etc/app.conf"],
        ["execvpe: /etc/app.conf: Permission denied", "child exited with error"],
    ),
    "an empty name": ([""], [f"execvpe: : {MISSING}", "child exited with error"]),
}


@pytest.mark.parametrize(("command", "said"), COMMANDS.values(), ids=COMMANDS.keys())
def test_what_a_command_comes_to(command: list[str], said: list[str], tmp_path: Path) -> None:
    image = Image(
        command=command,
        environment=["PATH=/usr/local/bin"],
        files={
            **shell_files(),
            "bin/true": b"#!/bin/sh\n",
            "bin/plain": b"echo hello $1\n",
            "usr/local/bin/app": b"#!/usr/bin/interpreter\n",
        },
        more=[
            ("rootfs/etc", stat.S_IFDIR | 0o755, b""),
            ("rootfs/etc/app.conf", stat.S_IFREG | 0o644, b""),
        ],
    )
    assert without_times(output(image, tmp_path)) == [*said, *REBOOT]


def test_an_empty_command_is_a_shell_that_waits_at_the_console(tmp_path: Path) -> None:
    with booted(Image(command=[]), tmp_path) as enclave:
        enclave.wait_heartbeat(SECONDS)
    assert b"Restarting" not in enclave.console.output


@pytest.mark.parametrize("rung", list(Rung))
def test_the_environment_is_the_images_alone(
    rung: Rung, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "x")
    lines = ["B=2", "A=1", "B=3", "not an assignment", "C="]
    show = Image(command=["/bin/cat", "/proc/self/environ"], environment=lines)
    if rung is Rung.OPEN_TRAP:  # There is no /proc.
        show = Image(command=script("echo $A$B$C$SECRET_OF_THE_CALLER"), environment=lines)
        assert output(show, tmp_path, rung)[0] in ("12", "13")
        return
    shown = output(show, tmp_path, rung)[0]
    assert shown.split("[")[0].split("\0")[: len(lines)] == lines


def test_without_an_environment_there_is_init_s_path(tmp_path: Path) -> None:
    image = Image(command=script("echo $PATH"), environment=[])
    assert output(image, tmp_path)[0] == "/sbin:/usr/sbin:/bin:/usr/bin"


def test_the_surroundings_are_an_enclaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "eth0")
    image = Image(
        command=script(
            "pwd",
            "while read name id rest; do test $name != Uid: || echo $id; done < /proc/self/status",
            "cd /; echo *",
            "test -t 0 && test -t 1 && test -t 2 && echo terminal",
            "test -c /dev/nsm && test -c /dev/console && echo devices",
            "echo to the console > /dev/console",
            "cat /proc/sys/kernel/hostname",
            "ulimit -n; umask",
            "echo /proc/[0-9]*",
            "cat /proc/net/dev | while read name rest; do echo $name; done",
            "test -w /sys/kernel && echo writable",
            "test -w /proc/sys/vm/swappiness && echo writable",
            "test -f /proc/sysrq-trigger && echo writable",
            "test -w /proc/sys/net/ipv4/ip_forward && echo the network is its own",
            "cat /proc/1/environ",
        )
    )
    lines = output(image, tmp_path)
    assert lines[:10] == [
        "/",
        "0",
        "bin dev lib lib64 proc run sys tmp var",
        "terminal",
        "devices",
        "to the console",
        "(none)",
        "1024",
        "0022",
        "/proc/1 /proc/2",
    ]
    assert {"lo:", "the network is its own"} <= set(lines[10:])
    assert not any("eth" in line or "writable" in line for line in lines)


def test_without_namespaces_there_are_devices_to_open_all_the_same(tmp_path: Path) -> None:
    image = Image(
        command=script(
            "cat /dev/null > /dev/null && echo to the console > /dev/console",
            "echo /dev/* /proc/*",
            ": < /dev/nsm && echo module",
        )
    )
    lines = output(image, tmp_path, Rung.OPEN_TRAP)
    assert without_times(lines) == ["to the console", "/dev/* /proc/*", "module", *REBOOT]


def test_orphans_are_waited_for_and_end_with_the_program(tmp_path: Path) -> None:
    image = Image(
        command=script(
            "(sleep 0 & sleep 0 & sleep 1000 &)",
            "while test -e /proc/4 || test -e /proc/5; do :; done",
            "echo /proc/[0-9]*",
        )
    )
    lines = output(image, tmp_path)
    assert lines[0] == "/proc/1 /proc/2 /proc/6"


def test_without_env_or_cmd_the_kernel_panics_after_the_heartbeat(tmp_path: Path) -> None:
    image = Image(command=None, environment=None)
    assert without_times(output(image, tmp_path)) == [
        f"Could not open /env file: {MISSING}",
        f"Could not open /env file: {MISSING}",
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
    ]


def test_where_memory_does_not_hold_the_ramdisks_the_files_are_missing(tmp_path: Path) -> None:
    with booted(Image(), tmp_path, memory=4096) as enclave:
        enclave.wait_heartbeat(SECONDS)
        enclave.wait(SECONDS)
        assert without_times(enclave.console.output.decode().splitlines())[-1] == (
            "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b"
        )


@pytest.mark.parametrize("missing", ["dev", "sys"])
def test_a_mount_point_that_is_missing_is_the_end_of_init(missing: str, tmp_path: Path) -> None:
    folders = [name for name in MOUNT_POINTS if name != missing]
    assert without_times(output(Image(folders=folders), tmp_path)) == [
        f"mount: /{missing}: {MISSING}",
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000200",
    ]


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (b"no archive, for sure", "Initramfs unpacking failed: junk in compressed archive"),
        (b"", "VFS: Unable to mount root fs"),
    ],
)
def test_without_an_init_there_is_no_heartbeat(first: bytes, said: str, tmp_path: Path) -> None:
    with booted(Image(first=first), tmp_path) as enclave:
        with pytest.raises(BootFailed, match="VsockTimeoutError"):
            enclave.wait_heartbeat(SECONDS)
        enclave.wait(SECONDS)
        assert said in enclave.console.output.decode()
