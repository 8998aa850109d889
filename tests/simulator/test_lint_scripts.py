"""What `attested-kms lint` tells of scripts, and of commands by their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.lint import boot_report
from simulator.lint.behaviour import goes_into_background, reads_the_console, why_it_ends
from simulator.lint.shell_text import Command, read_shell, unwrapped


def ends(script: str) -> bool:
    shell = read_shell(script)
    return shell is not None and why_it_ends(shell) is not None


@pytest.mark.parametrize(
    "script",
    [
        "/serve &",
        "/serve &\necho started",
        "set -e\nmkdir -p /x && cp a b; date",
        "nginx",
        "service ssh start",
        "exec redis-server --daemonize yes",
        "sleep 5",
        "cat <<EOF\n/serve\nEOF\n/serve &\n",
        "/usr/bin/tool --version",
        "nohup /serve > /dev/console 2>&1 &",
    ],
)
def test_scripts_that_end(script: str) -> None:
    assert ends(script)


@pytest.mark.parametrize(
    "script",
    [
        "",
        "/serve",
        "exec /serve --listen 5000",
        "/serve &\nwait",
        "/serve &\nwait $!\necho ended",
        "/serve &\ntail -f /dev/null",
        "/serve\necho exited rc=$?\nsleep 1000000",
        "/serve\necho exited",
        "while true; do date; sleep 1; done",
        "while :\ndo\n  date\ndone\necho never",
        "if [ -e /x ]; then /serve & fi",
        "nginx -g 'daemon off;'",
        "sleep infinity",
        "exec tini -- /serve",
        "echo 'an open quote",
        "date && /serve",
        "$PROGRAM --x",
    ],
)
def test_scripts_of_which_it_is_not_said(script: str) -> None:
    assert not ends(script)


def test_outputs_and_readers() -> None:
    shell = read_shell("exec > /var/log/x 2>&1\n/serve 2> /dev/null | logger -t serve # > /y\n")
    assert shell is not None
    assert [(each.words, each.outputs, each.piped_to) for each in shell.commands] == [
        (("exec",), ("/var/log/x",), ""),
        (("/serve",), (), "logger"),
        (("logger", "-t", "serve"), (), ""),
    ]


def test_what_passes_on_is_taken_off() -> None:
    command = Command(("env", "A=b", "tini", "--", "su-exec", "app", "/serve", "--x"))
    assert unwrapped(command).words == ("/serve", "--x")
    assert unwrapped(Command(("exec",))).words == ("exec",)


def test_programs_by_their_names() -> None:
    assert goes_into_background(Command(("/usr/sbin/sshd",)))
    assert not goes_into_background(Command(("/usr/sbin/sshd", "-D")))
    assert reads_the_console(Command(("python3", "-u")))
    assert not reads_the_console(Command(("python3", "-u", "/app.py")))
    assert reads_the_console(Command(("busybox", "sh")))


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    shell = read_shell(text)
    assert shell is None or why_it_ends(shell) is None or shell.commands


def test_lines_are_arguments() -> None:
    assert boot_report.arguments(["/app", "a\nb", ""]) == ("/app", "a", "b", "")
    assert boot_report.arguments([]) == ("sh",)


def test_reports_of_what_has_happened() -> None:
    """For a boot that was seen, whose report can then be compared with what was foretold."""
    reboot = ("reboot: Restarting system", "reboot: machine restart")
    assert boot_report.ended(["/app"], 0).console == reboot
    assert boot_report.ended(["/app"], 3).console == ("child exited with error", *reboot)
    assert boot_report.ended(["/app"], -9).console == ("child exited by signal", *reboot)
    assert boot_report.not_started(["x"], 13).console[0] == "execvpe: x: Permission denied"
    assert not boot_report.runs(["/app"]).is_dead
