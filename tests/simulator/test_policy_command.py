"""`attested-kms policy check` as a user runs it: files, exit codes, messages."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cbor2
import pytest

from nsm_fake import EnclaveIdentity, NitroSecurityModule, NsmPki, system_clock
from simulator import cli
from tests.simulator.policy_world import (
    ADMINISTRATORS,
    DELEGATION,
    ENCLAVE,
    SAFE_ALLOW,
    Json,
    allow,
    identity,
    only,
    pcr,
    policy,
    statement,
)

SAFE = policy(ADMINISTRATORS, SAFE_ALLOW)
HOLE = policy(ADMINISTRATORS, SAFE_ALLOW, statement())
WARNS = policy(DELEGATION, SAFE_ALLOW)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, content in {"safe": SAFE, "hole": HOLE, "warns": WARNS, "iam": identity()}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def run(*arguments: str) -> int:
    return cli.main(["policy", "check", *arguments])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("safe.json",), 0),
        (("safe.json", "--fail-on", "warning"), 0),
        (("warns.json",), 0),
        (("warns.json", "--fail-on", "warning"), 1),
        (("warns.json", "--identity", "iam.json"), 1),
        (("warns.json", "--identity", "iam.json", "--fail-on", "none"), 0),
        (("hole.json",), 1),
        (("hole.json", "--fail-on", "none"), 0),
    ],
)
@pytest.mark.usefixtures("folder")
def test_exit_codes(
    arguments: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == code
    text = capsys.readouterr().out
    assert run(*arguments, "--json") == code
    output = json.loads(capsys.readouterr().out)
    assert output["exit_code"] == code
    assert output["policy"] == arguments[0]
    for finding in output["findings"]:
        assert f"{finding['severity']}: {finding['id']}: {finding['title']}\n" in text
        assert f"  wrong   {finding['wrong']}\n" in text


@pytest.mark.usefixtures("folder")
def test_as_a_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulator.cli", "policy", "check", "-"],
        input=Path("hole.json").read_text(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("Who can use the key of - (111122223333)\n")
    assert "error: unconditional-allow: " in done.stdout
    assert "  where   -: Statement[2]\n" in done.stdout


def test_help_names_both_forms_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("--help")
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "get-key-policy --output json prints" in text


@pytest.mark.parametrize(
    ("name", "wrapped"),
    [
        ("hole.json", {"Policy": json.dumps(HOLE), "PolicyName": "default"}),
        ("iam.json", {"RoleName": "r", "PolicyName": "p", "PolicyDocument": identity()}),
        ("iam.json", {"PolicyVersion": {"Document": identity(), "VersionId": "v1"}}),
    ],
)
def test_what_the_aws_cli_prints(
    name: str, wrapped: Json, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("hole.json", "--identity", "iam.json", "--json")
    run(*arguments)
    plain = capsys.readouterr().out
    (folder / name).write_text(json.dumps(wrapped))
    run(*arguments)
    assert capsys.readouterr().out == plain


def test_a_byte_order_mark_is_no_matter(folder: Path) -> None:
    (folder / "bom.json").write_text("\ufeff" + json.dumps(SAFE))
    assert run("bom.json") == 0


RIGHT = "give the JSON that aws kms put-key-policy takes, or what aws kms get-key-policy"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            '{"Version": "2012-10-17",\n "Statement": [}',
            "not JSON: Expecting value: line 2 column 16",
        ),
        ("Version: 2012-10-17\nStatement: []\n", "the policy is not JSON: Expecting value: line 1"),
        ("", "the policy is not JSON: Expecting value: line 1"),
        ("[]", "the policy: must be an object, not a list"),
        ("{}", "the policy has no Statement"),
        ('{"Policy": "{"}', 'in the string under "Policy": the policy is not JSON'),
        ('{"Policy": "[]"}', 'in the string under "Policy": the policy: must be an object'),
        ('{"Statement": [], "Statement": []}', "holds 'Statement' twice in one object"),
        ('{"Statement": NaN}', "NaN is no JSON value"),
        (b"\xff\xfe{}", "byte 0 is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_policy(
    content: str | bytes, complaint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / "bad.json").write_bytes(raw)
    assert run("bad.json") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("attested-kms policy check: bad.json: ")
    assert complaint in captured.err
    assert RIGHT in captured.err


@pytest.mark.parametrize(
    ("statement_of_key", "complaint"),
    [
        (statement(Resource=5), "Statement[0].Resource: must be a string, not 5"),
        (statement("allow"), "Statement[0].Effect: must be Allow or Deny, not 'allow'"),
        (statement(principal={"AWS": "arn:aws:iam::1:role/*"}), "Statement[0].Principal.AWS: "),
        (statement(Actoin="kms:Decrypt"), "Statement[0]: 'Actoin' is no element of it; there are"),
        (allow({"StringEquals": "x"}), "Statement[0].Condition.StringEquals: must be an object"),
        (statement(action=5), "Statement[0].Action: must be a string, not 5"),
        (allow(None, Condition=[]), "Statement[0].Condition: must be an object, not a list"),
    ],
)
def test_a_policy_that_aws_would_refuse(
    statement_of_key: Json, complaint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.json").write_text(json.dumps(policy(statement_of_key)))
    assert run("bad.json") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"attested-kms policy check: bad.json: {complaint}")


def test_a_policy_that_cannot_be_evaluated(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = allow(only("StringEquals", "s3:prefix", "x"))
    (folder / "other.json").write_text(json.dumps(policy(elsewhere)))
    assert run("other.json", "--fail-on", "none") == 2
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith(
        "Not evaluated: other.json: Statement[0].Condition.StringEquals: the condition key"
    )
    assert run("other.json", "--json") == 2
    output = json.loads(capsys.readouterr().out)
    assert output["unsupported"].startswith("other.json: Statement[0].Condition.StringEquals")
    assert output["access"] == []


@pytest.mark.usefixtures("folder")
def test_files_that_are_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for before in ((), ("safe.json", "--identity"), ("safe.json", "--document")):
        assert run(*before, "no.json") == 2
        assert capsys.readouterr().err == (
            "attested-kms policy check: no.json: cannot be read: No such file or directory; "
            "give the path of a readable file\n"
        )


def attestation_document() -> tuple[bytes, dict[int, bytes]]:
    """A document of the NSM fake, and its PCRs."""
    identity_of_it = EnclaveIdentity.create(clock=system_clock, label="build 1")
    nsm = NitroSecurityModule(identity_of_it, NsmPki(), system_clock)
    request = {"Attestation": {"user_data": None, "nonce": None, "public_key": None}}
    document: bytes = cbor2.loads(nsm.handle(cbor2.dumps(request)))["Attestation"]["document"]
    payload: Any = cbor2.loads(cbor2.loads(document)[2])
    return document, payload["pcrs"]


@pytest.mark.parametrize("form", ["raw", "base64", "base64-in-lines", "tagged"])
def test_the_given_document_is_asked_with(
    form: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, pcrs = attestation_document()
    content = {
        "raw": document,
        "base64": base64.b64encode(document),
        "base64-in-lines": base64.encodebytes(document),
        "tagged": b"\xd2" + document,
    }[form]
    (folder / "doc.bin").write_bytes(content)
    build = allow({"StringEqualsIgnoreCase": {pcr(i): pcrs[i].hex() for i in (0, 1, 2, 3)}})
    (folder / "mine.json").write_text(json.dumps(policy(build)))
    for name, expected in (("mine.json", True), ("safe.json", False)):
        run(name, "--document", "doc.bin", "--json")
        rows = json.loads(capsys.readouterr().out)["access"]
        (row,) = [
            row
            for row in rows
            if row["principal"]["label"] == ENCLAVE and row["action"] == "kms:Decrypt"
        ]
        assert row["documents"]["given"]["allowed"] is expected
    run("mine.json", "--document", "doc.bin")
    assert "the given one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"not base64!", "neither an attestation document nor its base64"),
        (base64.b64encode(b"hello"), "no attestation document: not one CBOR value"),
        (
            base64.b64encode(base64.b64encode(b"\x84\x44\xa1")),
            "no attestation document: it is base64 text",
        ),
        (b"\x84\x00", "no attestation document: not one CBOR value"),
    ],
)
def test_what_is_no_document(
    content: bytes, complaint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "doc.bin").write_bytes(content)
    assert run("safe.json", "--document", "doc.bin") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"attested-kms policy check: doc.bin: {complaint}")
    assert error.endswith("give the bytes that the NSM returned\n")


@pytest.mark.usefixtures("folder")
def test_a_caller_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("safe.json", "--caller", "me") == 2
    assert "'me' is no principal; give the ARN of a user" in capsys.readouterr().err


def test_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO((folder / "safe.json").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run("-") == 0
