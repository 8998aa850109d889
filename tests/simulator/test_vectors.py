"""The vectors, used as a suite in another language would: files, index, and a server."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jsonschema import Draft202012Validator
from moto import mock_aws

from kms_fake import KmsFake, RuleSet, Settings, serving
from kms_fake.given_keys import add_key
from kms_fake.roots import roots_from_file
from kms_fake.rules import RULES
from scenarios.workload.envelope import open_cms
from simulator import cli
from simulator.key_file import Defaults, read_keys
from simulator.principal_file import read_principals
from simulator.schema_check import schema
from simulator.vectors.documents import NOW_MS
from simulator.vectors.requests import CASES

DEFAULTS = Defaults("999999999999", "eu-west-1")
"""Not those of the vectors, which say themselves where they are."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "new"
    assert cli.main(["vectors", "--seed", "7", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def index(folder: Path) -> Any:
    return json.loads((folder / "index.json").read_text())


@pytest.fixture(scope="module")
def recipient(folder: Path, index: Any) -> rsa.RSAPrivateKey:
    key = load_pem_private_key((folder / index["recipient_private_key"]).read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@pytest.fixture(scope="module")
def kms(folder: Path, index: Any) -> Iterator[tuple[KmsFake, HTTPConnection]]:
    """A server with the files of the vectors, at their time."""
    fake = KmsFake(roots_from_file(folder / index["root_certificate"]), clock=lambda: NOW_MS)
    with mock_aws():
        for key in read_keys(folder / index["keys_file"], DEFAULTS):
            add_key(key)
        fake.callers = read_principals(folder / index["principals_file"], DEFAULTS)
        with serving(fake) as server:
            connection = HTTPConnection(urlsplit(server.endpoint).netloc, timeout=30)
            yield fake, connection
            connection.close()


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_index_follows_its_schema(index: Any) -> None:
    Draft202012Validator.check_schema(schema("vectors"))
    Draft202012Validator(schema("vectors")).validate(index)


def test_every_file_is_in_the_index_and_the_other_way_round(folder: Path, index: Any) -> None:
    named = {entry["file"] for part in ("documents", "envelopes") for entry in index[part]}
    named |= {value for name, value in index.items() if name.endswith(("_file", "_key"))}
    assert named | {index["root_certificate"], "index.json"} == set(content(folder))
    for document in index["documents"]:
        digest = hashlib.sha256((folder / document["file"]).read_bytes()).hexdigest()
        assert digest == document["sha256"]


def test_every_rule_is_shown_or_its_absence_explained(index: Any) -> None:
    shown = {request["rule"] for request in index["requests"]} - {None}
    explained = {entry["rule"] for entry in index["rules_not_shown"]}
    assert shown | explained == {rule.id for rule in RULES}
    assert not shown & explained


def test_the_same_seed_writes_the_same_bytes_and_another_one_others(
    folder: Path, tmp_path: Path
) -> None:
    assert cli.main(["vectors", "--seed", "7", str(tmp_path / "same")]) == 0
    assert content(tmp_path / "same") == content(folder)
    assert cli.main(["vectors", "--seed", "8", str(tmp_path / "other")]) == 0
    others = content(tmp_path / "other")
    same = {name for name, data in content(folder).items() if others[name] == data}
    assert same == {"recipient.pem", "principals.json"}


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_a_server_with_these_files_gives_these_answers(
    number: int, index: Any, kms: tuple[KmsFake, HTTPConnection], recipient: rsa.RSAPrivateKey
) -> None:
    request = index["requests"][number]
    fake, connection = kms
    fake.settings = Settings(rule_set=RuleSet(request["rule_set"]))
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"TrentService.{request['operation']}",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={request['access_key']}/20260302/"
        f"{index['region']}/kms/aws4_request, SignedHeaders=host, Signature=0",
    }
    connection.request("POST", "/", json.dumps(request["body"]).encode(), headers)
    response = connection.getresponse()
    body = json.loads(response.read())
    answer = request["answer"]
    assert response.status == answer["http_status"]
    if request["rule"] is not None:
        assert response.headers["x-attested-kms-rule"] == request["rule"]
        assert body["__type"] == answer["type"]
        assert body.get("message", body.get("Message", "")) == answer["message"]
        return
    assert answer["members"].items() <= body.items()
    delivered = base64.b64decode(body[answer["delivers"]])
    if answer["delivers"] == "CiphertextForRecipient":
        assert "Plaintext" not in body
        delivered = open_cms(delivered, recipient)
    if answer["plaintext"] is None:
        assert len(delivered) == 32
    else:
        assert delivered == base64.b64decode(answer["plaintext"])


def test_the_envelopes_open_and_are_what_the_index_says(
    folder: Path, index: Any, recipient: rsa.RSAPrivateKey
) -> None:
    for envelope in index["envelopes"]:
        blob = (folder / envelope["file"]).read_bytes()
        assert open_cms(blob, recipient) == base64.b64decode(envelope["plaintext"])
        assert (b"\xa0\x80\x04" in blob) is (envelope["content_form"] == "constructed")


def test_openssl_opens_the_envelopes(folder: Path, index: Any, openssl: str) -> None:
    for envelope in index["envelopes"]:
        blob, key = folder / envelope["file"], folder / index["recipient_private_key"]
        command = [openssl, "cms", "-decrypt", "-inform", "DER", "-in", blob, "-inkey", key]
        opened = subprocess.run(command, check=True, capture_output=True).stdout
        assert opened == base64.b64decode(envelope["plaintext"])


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("keep")
    assert cli.main(["vectors", "--seed", "1", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert content(tmp_path) == {"mine": b"keep"}


def test_a_folder_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["vectors", "--seed", "1", str(tmp_path / "file")]) == 1
    assert "cannot be written to" in capsys.readouterr().err
