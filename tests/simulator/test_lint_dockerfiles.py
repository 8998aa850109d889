"""Each rule of `attested-kms lint` that a Dockerfile alone can show, broken and mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.lint.boot_report import Outcome
from tests.simulator.lint_world import (
    DYNAMIC,
    GOOD_DOCKERFILE,
    STATIC,
    archive,
    dockerfile,
    ids,
    linted,
)

SCRATCH = "FROM scratch\nCOPY app /app\nCOPY bundle /etc/ssl/certs/ca-certificates.crt\n"
PYTHON = f"{SCRATCH}COPY python3 /usr/bin/python3\n"
DEBIAN = "FROM registry.example/base:1\nRUN apt-get install -y app\n"


def test_a_good_one(tmp_path: Path) -> None:
    result = linted(dockerfile(tmp_path, GOOD_DOCKERFILE))
    assert result.findings == []
    # It is not said to be right: whether /app is static, or there at all, is not known.
    assert result.boot is None
    assert len(result.undecided) == 1


def test_bug_1_with_its_lines(tmp_path: Path) -> None:
    text = SCRATCH + 'USER app\nENTRYPOINT ["/app"]\nCMD ["--mode", "vsock"]\n'
    result = linted(dockerfile(tmp_path, text))
    first = result.findings[0]
    assert first.rule.id == "entrypoint-dropped"
    assert first.found.wrong == (
        'ENTRYPOINT ["/app"] (line 5) is dropped, and CMD ["--mode", "vsock"] (line 6) is run alone'
    )
    assert first.found.place is not None
    assert first.found.place.line == 5
    boot = first.found.boot
    assert (boot.argv, boot.may) == (("--mode", "vsock"), False)
    assert boot.dropped == ('line 5: ENTRYPOINT ["/app"]', "line 4: USER app")
    assert boot.console[0] == "execvpe: --mode: No such file or directory"


@pytest.mark.parametrize(
    ("rule", "broken", "mended"),
    [
        (
            "entrypoint-dropped",
            f'{DEBIAN}ENTRYPOINT ["/app"]\nCMD ["--mode"]',
            f'{DEBIAN}ENTRYPOINT ["/app", "--mode"]',
        ),
        # The CMD of a stage is no CMD of the one that builds on it once that has an ENTRYPOINT.
        (
            "entrypoint-dropped",
            f'{SCRATCH}CMD ["-x"]\nENTRYPOINT ["/app"]',
            f'{SCRATCH[:12]} AS base\nCMD ["-x"]\nFROM base\n{SCRATCH[13:]}ENTRYPOINT ["/app"]',
        ),
        ("no-command", SCRATCH, f'{SCRATCH}CMD ["/app"]'),
        (
            "empty-command",
            f'{SCRATCH}ENTRYPOINT ["/app"]\nCMD []',
            f'{SCRATCH}ENTRYPOINT ["/app"]',
        ),
        ("not-a-list", f"{DEBIAN}CMD ['/app']", f'{DEBIAN}CMD ["/app"]'),
        ("inherited-command", "FROM golang:1.22\nRUN go build", "FROM golang:1.22\nCMD /app x"),
        (
            "relative-command",
            f'{DEBIAN}CMD ["./app"]',
            f'{DEBIAN}CMD ["/srv/app"]',
        ),
        (
            "not-in-path",
            'FROM python:3.11\nCMD ["python3", "/srv/app.py"]',
            'FROM python:3.11\nCMD ["/usr/local/bin/python3", "/srv/app.py"]',
        ),
        (
            "not-in-path",
            f'{DEBIAN}COPY app /usr/local/bin/\nCMD ["app"]',
            f'{DEBIAN}COPY app /usr/bin/\nCMD ["app"]',
        ),
        ("not-in-path", f'{SCRATCH}CMD ["app"]', f'{SCRATCH}CMD ["/app"]'),
        ("command-missing", f'{SCRATCH}CMD ["/serve"]', f'{SCRATCH}CMD ["/app"]'),
        ("command-hidden", f'{DEBIAN}CMD ["/run/app"]', f'{DEBIAN}CMD ["/opt/app"]'),
        ("shell-missing", f"{SCRATCH}CMD /app", f'{SCRATCH}SHELL ["/app", "-c"]\nCMD /app'),
        (
            "relative-argument",
            f'{PYTHON}CMD ["/usr/bin/python3", "app.py"]',
            f'{PYTHON}COPY app.py /app.py\nCMD ["/usr/bin/python3", "app.py"]',
        ),
        (
            "process-ends",
            f'{DEBIAN}CMD ["/usr/sbin/nginx"]',
            f'{DEBIAN}CMD ["/usr/sbin/nginx", "-g", "daemon off;"]',
        ),
        ("reads-console", f'{DEBIAN}CMD ["/bin/bash"]', f'{DEBIAN}CMD ["/bin/bash", "/run.sh"]'),
        ("output-elsewhere", f"{DEBIAN}CMD /app > /var/log/a", f"{DEBIAN}CMD /app > /dev/stdout"),
        ("no-network", f"{DEBIAN}CMD /app --bind 0.0.0.0:80", f"{DEBIAN}CMD /app --vsock 5000"),
        (
            "no-ca-bundle",
            'FROM scratch\nCOPY app /app\nCMD ["/app"]',
            'FROM scratch\nCOPY app /app\nCOPY --from=certs /etc/ssl /etc/ssl\nCMD ["/app"]',
        ),
        ("user-ignored", f"{DEBIAN}USER app\nCMD /app", f"{DEBIAN}USER app\nUSER 0\nCMD /app"),
        ("workdir-ignored", f"{DEBIAN}WORKDIR srv\nCMD /app", f"{DEBIAN}WORKDIR /\nCMD /app"),
        ("setting-ignored", f"{DEBIAN}HEALTHCHECK CMD x\nCMD /app", f"{DEBIAN}CMD /app"),
        (
            "argument-newline",
            f'{DEBIAN}CMD ["/app", "a\\nb"]',
            f'{DEBIAN}CMD ["/app", "a", "b"]',
        ),
    ],
)
def test_a_broken_one_and_the_mended_one(
    rule: str, broken: str, mended: str, tmp_path: Path
) -> None:
    assert ids(linted(dockerfile(tmp_path, broken))) == [rule]
    assert ids(linted(dockerfile(tmp_path, mended))) == []


@pytest.mark.parametrize(
    ("rule", "script", "mended"),
    [
        ("interpreter-missing", b"#!/bin/sh\r\n/serve\r\n", b"#!/bin/sh\n/serve\n"),
        ("process-ends", b"#!/bin/sh\n/serve &\n", b"#!/bin/sh\n/serve &\nwait\n"),
        ("output-elsewhere", b"#!/bin/sh\nexec /serve >/x 2>&1\n", b"#!/bin/sh\nexec /serve\n"),
        ("no-network", b"#!/bin/sh\n/serve localhost:1\n", b"#!/bin/sh\n# localhost\n/serve\n"),
    ],
)
def test_scripts_in_the_context(rule: str, script: bytes, mended: bytes, tmp_path: Path) -> None:
    text = f'{DEBIAN}COPY start.sh /usr/local/bin/\nCMD ["/usr/local/bin/start.sh"]\n'
    path = dockerfile(tmp_path, text, **{"start.sh": script})
    assert ids(linted(path)) == [rule]
    (tmp_path / "start.sh").write_bytes(mended)
    assert ids(linted(path)) == []


def test_a_script_outside_of_the_context_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "start.sh").write_text("#!/bin/sh\n/serve &\n")
    text = f'{DEBIAN}COPY ../start.sh /start.sh\nCMD ["/start.sh"]\n'
    assert ids(linted(dockerfile(tmp_path / "context", text))) == []


def test_what_is_not_known_is_no_finding_and_no_all_clear(tmp_path: Path) -> None:
    result = linted(dockerfile(tmp_path, "FROM registry.example/base:1\nRUN make\n"))
    assert (result.findings, result.boot) == ([], None)
    assert "is that of the base image" in result.undecided[0]
    result = linted(dockerfile(tmp_path, f'{DEBIAN}CMD ["serve"]\n'))
    assert (result.findings, result.boot) == ([], None)
    assert "has an ENTRYPOINT" in result.undecided[0]


def test_the_last_stage_counts(tmp_path: Path) -> None:
    text = (
        "ARG BASE=scratch\nFROM rust AS build\nWORKDIR /src\nUSER app\nCMD cargo\n"
        'FROM ${BASE}\nCOPY --from=build /src/app /\nCOPY b /etc/ssl/cert.pem\nCMD ["/app"]\n'
    )
    assert ids(linted(dockerfile(tmp_path, text))) == []


def test_variables_are_filled_in(tmp_path: Path) -> None:
    text = f'{DEBIAN}ARG WHO=app\nENV HOME=/home/$WHO\nUSER $WHO\nWORKDIR $HOME\nCMD ["/app"]\n'
    wrong = [finding.found.wrong for finding in linted(dockerfile(tmp_path, text)).findings]
    assert wrong == [
        "the program runs as root, not as app",
        "the program starts in /, not in /home/app",
    ]


BUILT = {"app": STATIC, "bundle": b"certificates"}


def test_what_needs_no_engine_is_built_and_looked_into(tmp_path: Path) -> None:
    result = linted(dockerfile(tmp_path, GOOD_DOCKERFILE, **BUILT))
    assert (result.findings, result.undecided) == ([], [])
    assert result.boot is not None
    assert result.boot.outcome is Outcome.RUNS
    result = linted(dockerfile(tmp_path, GOOD_DOCKERFILE, **(BUILT | {"app": DYNAMIC})))
    assert ids(result) == ["interpreter-missing"]
    assert result.findings[0].found.place is not None
    assert result.findings[0].found.place.line == 4


def test_the_base_image_can_be_given(tmp_path: Path) -> None:
    base = archive(tmp_path / "base.tar", Entrypoint=["/entry"], Cmd=None, User="app")
    text = 'FROM registry.example/base:1\nCMD ["/app"]\n'
    result = linted(dockerfile(tmp_path / "context", text), base=base)
    assert ids(result) == ["entrypoint-dropped", "user-ignored"]
    assert result.undecided == []
    assert str(result.findings[0].found.place) == "line 1: the base image registry.example/base:1"
    text = "FROM registry.example/base:1\nRUN make\nUSER 0\n"
    result = linted(dockerfile(tmp_path / "context", text), base=base)
    assert ids(result) == ["inherited-command"]
    assert "RUN" in result.undecided[-1]


def test_may_stands_where_it_is_not_sure(tmp_path: Path) -> None:
    text = f'{DEBIAN}ENTRYPOINT ["/start"]\nCMD ["serve"]\n'
    result = linted(dockerfile(tmp_path, text))
    (finding,) = result.findings
    assert " may " in finding.found.wrong
    assert result.boot is not None
    assert (result.boot.outcome, result.boot.may) == (Outcome.NOT_STARTED, True)
