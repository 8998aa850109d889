"""`attested-kms serve --management-port` as a user has it, and its page with every example run."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from simulator.management import Access, ManagementApplication
from tests.simulator.test_command import run, served
from tests.simulator.test_management import Client

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "management.md"
TOKEN = "ATTESTED_KMS_MANAGEMENT_TOKEN"  # noqa: S105  # A variable's name.


def test_without_the_flag_there_is_no_listener() -> None:
    with served() as ready:
        assert "management_endpoint" not in ready


def test_the_ready_line_names_a_port_of_its_own() -> None:
    with served("--management-port", "0", "--region", "eu-west-1") as ready:
        assert ready["management_endpoint"] != ready["kms_endpoint"]
        assert urlsplit(ready["management_endpoint"]).hostname == "127.0.0.1"
        ask = Client(ready["management_endpoint"])
        assert ask("GET", "/calls").lines() == []
        document = ask.document(ask.enclave()["enclave_id"])
        assert b"eu-west-1" in document
        ask.connection.close()


def test_the_listener_repeats_the_ready_line() -> None:
    with served("--management-port", "0") as ready:
        ask = Client(ready["management_endpoint"])
        assert ask("GET", "/server").json() == ready
        ask.connection.close()


def test_enclaves_are_of_the_root_that_the_server_shows() -> None:
    with served("--management-port", "0", "--seed", "a seed") as ready:
        root = load_pem_x509_certificate(Path(ready["root_certificate"]).read_bytes())
        ask = Client(ready["management_endpoint"])
        document = ask.document(ask.enclave()["enclave_id"])
        assert root.public_bytes(Encoding.DER) in document
        ask.connection.close()


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        finished = run("serve", "--management-port", port)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert f"Port {port} of 127.0.0.1 cannot be used for management" in finished.stderr
    assert "give another --management-port" in finished.stderr


def test_beyond_loopback_it_does_not_start_without_a_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    finished = run("serve", "--host", "0.0.0.0", "--management-port", "0")  # noqa: S104
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "give --management-token (or ATTESTED_KMS_MANAGEMENT_TOKEN)" in finished.stderr
    assert "is open beyond this machine" not in finished.stderr  # KMS did not listen either.


def test_the_token_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "secret")
    with served("--management-port", "0") as ready:
        ask = Client(ready["management_endpoint"])
        assert ask("GET", "/clock").status == 401
        assert ask("GET", "/clock", Authorization="Bearer secret").status == 200
        ask.connection.close()


def test_a_port_that_is_none_is_wrong_usage() -> None:
    finished = run("serve", "--management-port", "x")
    assert finished.returncode == 2
    assert "'x' is not a port" in finished.stderr


def same_shape(found: Any, shown: Any) -> bool:
    """Whether what came looks as the page shows it.

    That is the same members and kinds of values; the page may cut an object to `{}` and shows one
    item of an array.
    """
    match found, shown:
        case dict(), dict():
            members = set(found) if shown else set()
            return members == set(shown) and all(
                same_shape(found[name], shown[name]) for name in members
            )
        case [first, *_], [only]:
            return same_shape(first, only)
        case _:
            return type(found) is type(shown)


def test_the_examples_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    """One shell runs them all; blocks of JSON are compared with what the block before printed."""
    bash = shutil.which("bash")
    if bash is None or shutil.which("curl") is None:
        pytest.skip("bash and curl are needed to run the examples of the page")
    blocks = re.findall(r"```(sh|json)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert blocks.pop(0) == ("sh", "attested-kms serve --management-port 0\n")
    assert [kind for kind, _ in blocks].count("json") >= 7
    script = ["set -euo pipefail"]
    expected = []
    for number, (kind, text) in enumerate(blocks):
        if kind == "sh":
            script.append(f"exec > {tmp_path}/out{number}\n{text}")
        else:
            expected.append((number - 1, json.loads(text)))
    with served("--management-port", "0") as ready:
        variables = {"KMS": ready["kms_endpoint"], "MANAGEMENT": ready["management_endpoint"]}
        finished = subprocess.run(
            [bash, "-c", "\n".join(script)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            # Nobody's .curlrc, nobody's proxy.
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables},
        )
    assert (finished.returncode, finished.stderr) == (0, "")
    for number, shown in expected:
        printed = (tmp_path / f"out{number}").read_text().splitlines()[-1]
        assert same_shape(json.loads(printed), shown), (printed, shown)


def test_the_page_has_every_endpoint() -> None:
    application = ManagementApplication(Mock(), Access("127.0.0.1"))
    page = PAGE.read_text()
    named = set(re.findall(r"`(GET|POST|PUT|DELETE) (/[a-zA-Z/]*)`", page))
    assert named == {
        (method, path.replace("{}", "ID"))
        for path, methods in application._routes.items()
        for method in methods
    }
