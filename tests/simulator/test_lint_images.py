"""Each rule of `attested-kms lint` on an image and on the EIF of it, broken and mended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.lint.boot_report import Outcome
from simulator.lint.rules import RULES
from tests.simulator.lint_world import (
    DYNAMIC,
    FOR_ARM,
    SHARED,
    STATIC,
    archive,
    enclave,
    ids,
    linted,
)

REBOOT = ("reboot: Restarting system", "reboot: machine restart")
ENOENT = "No such file or directory"
LOADER = {"lib64/ld-linux-x86-64.so.2": STATIC}
SCRIPT = b"#!/bin/sh\nset -e\n"


SPEAKS_TLS = STATIC + b"/etc/ssl/certs/ca-certificates.crt"


def failing(line: str) -> tuple[str, ...]:
    return (line, "child exited with error", *REBOOT)


Case = tuple[str, dict[str, Any], dict[str, Any], Outcome, tuple[str, ...]]
"""The rule, the broken image, the mended one, and the boot of the broken."""

CASES: tuple[Case, ...] = (
    (
        "entrypoint-dropped",
        {"Entrypoint": ["/app"], "Cmd": ["--mode", "vsock"]},
        {"Entrypoint": None, "Cmd": ["/app", "--mode", "vsock"]},
        Outcome.NOT_STARTED,
        failing(f"execvpe: --mode: {ENOENT}"),
    ),
    (
        "empty-command",
        {"Cmd": [], "Entrypoint": ["/app"], "files": {"bin/sh": None}},
        {"Cmd": None, "Entrypoint": ["/app"], "files": {"bin/sh": None}},
        Outcome.NOT_STARTED,
        failing(f"execvpe: sh: {ENOENT}"),
    ),
    (
        "argument-newline",
        {"Cmd": ["/app\n--x"]},
        {"Cmd": ["/app", "--x"]},
        Outcome.RUNS,
        (),
    ),
    (
        "relative-command",
        {"Cmd": ["./serve"], "files": {"srv/serve": STATIC}},
        {"Cmd": ["/srv/serve"], "files": {"srv/serve": STATIC}},
        Outcome.NOT_STARTED,
        failing(f"execvpe: ./serve: {ENOENT}"),
    ),
    (
        "not-in-path",
        {"Cmd": ["serve"], "files": {"usr/local/bin/serve": STATIC}},
        {"Cmd": ["serve"], "files": {"usr/bin/serve": STATIC}},
        Outcome.NOT_STARTED,
        failing(f"execvpe: serve: {ENOENT}"),
    ),
    (
        "command-missing",
        {"Cmd": ["/serve"]},
        {"Cmd": ["/serve"], "files": {"serve": "/app"}},
        Outcome.NOT_STARTED,
        failing(f"execvpe: /serve: {ENOENT}"),
    ),
    (
        "command-hidden",
        {"Cmd": ["/run/serve"], "files": {"run/serve": STATIC}},
        {"Cmd": ["/opt/serve"], "files": {"opt/serve": STATIC}},
        Outcome.NOT_STARTED,
        failing(f"execvpe: /run/serve: {ENOENT}"),
    ),
    (
        "shell-missing",
        {"Cmd": ["/bin/sh", "-c", "/app --x"], "files": {"bin/sh": None}},
        {"Cmd": ["/app", "--x"], "files": {"bin/sh": None}},
        Outcome.NOT_STARTED,
        failing(f"execvpe: /bin/sh: {ENOENT}"),
    ),
    (
        "not-executable",
        {"files": {"app": (STATIC, 0o644)}},
        {"files": {"app": (STATIC, 0o555)}},
        Outcome.NOT_STARTED,
        failing("execvpe: /app: Permission denied"),
    ),
    (
        "interpreter-missing",
        {"files": {"app": DYNAMIC, "lib/libc.so.6": SHARED}},
        {"files": {"app": DYNAMIC, "lib/libc.so.6": SHARED, **LOADER}},
        Outcome.NOT_STARTED,
        failing(f"execvpe: /app: {ENOENT}"),
    ),
    (
        "interpreter-missing",
        {"files": {"app": b"#!/bin/bash\nexec /serve\n"}},
        {"files": {"app": b"#!/bin/sh\nexec /serve\n"}},
        Outcome.NOT_STARTED,
        failing(f"execvpe: /app: {ENOENT}"),
    ),
    (
        "interpreter-missing",
        {"files": {"app": b"#!/bin/sh\r\nexec /serve\r\n"}},
        {"files": {"app": b"#!/bin/sh\nexec /serve\n"}},
        Outcome.NOT_STARTED,
        failing(f"execvpe: /app: {ENOENT}"),
    ),
    (
        "interpreter-missing",
        {"files": {"app": b"#!/usr/bin/env tool\n", "usr/bin/env": STATIC}},
        {
            "files": {
                "app": b"#!/usr/bin/env tool\n",
                "usr/bin/env": STATIC,
                "usr/local/bin/tool": STATIC,
            }
        },
        Outcome.FAILED,
        failing(f"<env: tool: {ENOENT}>"),
    ),
    (
        "no-program",
        {"files": {"app": b"exec /serve\n"}},
        {"files": {"app": b"#!/bin/sh\nexec /serve\n"}},
        Outcome.RUNS,
        (),
    ),
    (
        "no-program",
        {"files": {"app": b"exec /serve\n", "bin/sh": None}},
        {"files": {"bin/sh": None}},
        Outcome.NOT_STARTED,
        failing(f"execvpe: /app: {ENOENT}"),
    ),
    (
        "no-program",
        {"files": {"app": bytes(100)}},
        {},
        Outcome.FAILED,
        failing("</bin/sh takes /app for a script, and fails>"),
    ),
    (
        "wrong-architecture",
        {"files": {"app": FOR_ARM}},
        {},
        Outcome.FAILED,
        failing("</bin/sh takes /app for a script, and fails>"),
    ),
    (
        "wrong-architecture",
        {"files": {"app": FOR_ARM, "bin/sh": FOR_ARM}},
        {},
        Outcome.NOT_STARTED,
        failing("execvpe: /app: Exec format error"),
    ),
    (
        "wrong-architecture",
        {"files": {"app": FOR_ARM, "bin/sh": None}},
        {},
        Outcome.NOT_STARTED,
        failing(f"execvpe: /app: {ENOENT}"),
    ),
    (
        "library-missing",
        {"files": {"app": DYNAMIC, **LOADER}},
        {"files": {"app": DYNAMIC, **LOADER, "usr/lib/x/libc.so.6": SHARED}},
        Outcome.FAILED,
        failing(f"<the loader says that libc.so.6 cannot be opened: {ENOENT}>"),
    ),
    (
        "process-ends",
        {"files": {"app": SCRIPT + b"/serve &\necho started\n"}},
        {"files": {"app": SCRIPT + b"/serve &\necho started\nwait\n"}},
        Outcome.ENDED,
        REBOOT,
    ),
    (
        "reads-console",
        {"Cmd": ["/bin/sh"]},
        {"Cmd": ["/bin/sh", "-c", "exec /app"]},
        Outcome.RUNS,
        (),
    ),
    (
        "relative-argument",
        {"Cmd": ["/usr/bin/python3", "main.py"], "files": {"usr/bin/python3": STATIC}},
        {
            "Cmd": ["/usr/bin/python3", "main.py"],
            "files": {"usr/bin/python3": STATIC, "main.py": (b"", 0o644)},
        },
        Outcome.FAILED,
        failing("<python3 says that it cannot open /main.py>"),
    ),
    (
        "output-elsewhere",
        {"files": {"app": SCRIPT + b"exec /serve >> /var/log/serve.log 2>&1\n"}},
        {"files": {"app": SCRIPT + b"exec /serve >> /dev/console 2>&1\n"}},
        Outcome.RUNS,
        (),
    ),
    (
        "no-network",
        {"files": {"app": SCRIPT + b"exec /serve 127.0.0.1:80\n"}},
        {"files": {"app": SCRIPT + b"ip link set dev lo up\nexec /serve 127.0.0.1:80\n"}},
        Outcome.RUNS,
        (),
    ),
    (
        "no-ca-bundle",
        {"files": {"app": SPEAKS_TLS, "etc/ssl/certs/ca-certificates.crt": None}},
        {
            "files": {
                "app": SPEAKS_TLS,
                "etc/ssl/certs/ca-certificates.crt": None,
                "root.pem": (b"", 0o644),
            },
            "Env": ["SSL_CERT_FILE=/root.pem"],
        },
        Outcome.RUNS,
        (),
    ),
    ("user-ignored", {"User": "app"}, {"User": "root"}, Outcome.RUNS, ()),
    ("workdir-ignored", {"WorkingDir": "/srv"}, {"WorkingDir": "/"}, Outcome.RUNS, ()),
    (
        "setting-ignored",
        {"ExposedPorts": {"80/tcp": {}}},
        {"Healthcheck": {"Test": ["NONE"]}},
        Outcome.RUNS,
        (),
    ),
)

FORMS = [
    pytest.param((archive, "image.tar"), id="image"),
    pytest.param((enclave, "e.eif"), id="EIF"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_broken_image_and_the_mended_one(
    case: Case, form: tuple[Callable[..., Path], str], tmp_path: Path
) -> None:
    rule, broken, mended, outcome, console = case
    make, name = form
    result = linted(make(tmp_path / name, **broken))
    assert ids(result) == [rule]
    assert result.boot is not None
    assert (result.boot.outcome, result.boot.console) == (outcome, console)
    assert result.findings[0].found.boot.console == console
    if outcome is not Outcome.RUNS:
        assert dict(result.boot.seen())["describe-enclaves"] == "[]"
        assert "E45" in dict(result.boot.seen())["console"]
    assert result.undecided == []
    assert ids(linted(make(tmp_path / name, **mended))) == []


def test_an_image_without_a_command_is_not_built(tmp_path: Path) -> None:
    result = linted(archive(tmp_path / "image.tar", Cmd=None))
    assert ids(result) == ["no-command"]
    assert result.boot is not None
    assert list(result.boot.seen()) == [
        ("build-enclave", "E48, exit code 48; UnsupportedEntryPoint")
    ]


def test_each_rule_has_a_case_here_or_among_the_dockerfiles() -> None:
    elsewhere = {"not-a-list", "inherited-command", "no-command", "ramdisk-incomplete"}
    assert {case[0] for case in CASES} | elsewhere == {rule.id for rule in RULES}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_dropped_is_named(form: tuple[Callable[..., Path], str], tmp_path: Path) -> None:
    make, name = form
    path = make(tmp_path / name, Entrypoint=["/entry"], Cmd=["/app"], User="app", WorkingDir="/srv")
    result = linted(path)
    assert result.boot is not None
    assert result.boot.dropped == (
        'Config.Entrypoint ["/entry"]',
        'Config.WorkingDir "/srv"',
        'Config.User "app"',
    )
    assert (result.boot.outcome, result.boot.argv) == (Outcome.RUNS, ("/app",))
    # The program starts, so it is no more than a warning that the entrypoint does not.
    assert [finding.found.severity.value for finding in result.findings] == [
        "warning",
        "warning",
        "info",
    ]


def test_a_folder_is_an_image_too(tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "config.json").write_text(
        '{"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/app"]}}'
    )
    assert ids(linted(tmp_path)) == ["command-missing"]
    # Without the configuration the Dockerfile beside the files says what it would be.
    (tmp_path / "config.json").unlink()
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY rootfs /\nCMD ["--x"]\n')
    assert ids(linted(tmp_path)) == ["not-in-path"]
