"""`attested-kms serve` with files, accounts and a folder: real processes, boto3 over sockets."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kms_fake.callers import DEFAULT_INSTANCE_ID
from kms_fake.http_server import is_loopback
from nsm_fake import NsmPki
from simulator.serve import told_after
from tests.simulator.test_command import COMMAND, decrypt, document_of, run, served

ACCOUNT = "111122223333"
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
RSA_ID = "2234abcd-12ab-34cd-56ef-1234567890ab"
MATERIAL = "0123456789abcdef" * 4
REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "serve.md"


def client(ready: dict[str, Any], *, access_key: str = "UNKNOWN", region: str = "us-east-1") -> Any:
    return boto3.client(
        "kms",
        endpoint_url=ready["kms_endpoint"],
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key="any",  # noqa: S106  # No secret.
        config=Config(retries={"total_max_attempts": 1}),
    )


def written(path: Path, content: object) -> str:
    """The path of a file that holds `content` as JSON."""
    path.write_text(json.dumps(content))
    return str(path)


def key(**members: Any) -> dict[str, Any]:
    return {"id": KEY_ID, "material": MATERIAL, **members}


def pem() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def denial(call: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**members)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    return str(caught.value.response["Error"]["Message"])


def test_ciphertexts_survive_a_restart(tmp_path: Path) -> None:
    rsa_key = {"id": RSA_ID, "spec": "RSA_2048", "material": pem()}
    derived = {"id": "mrk-" + "12" * 16, "aliases": ["alias/derived"]}
    content = {"keys": [key(aliases=["alias/app"]), rsa_key, derived]}
    arguments = ["--keys", written(tmp_path / "keys.json", content), "--seed", "a seed"]
    algorithm = {"KeyId": RSA_ID, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    with served(*arguments) as ready:
        kms = client(ready)
        context = {"EncryptionContext": {"a": "b"}}
        blob = kms.encrypt(KeyId="alias/app", Plaintext=b"one", **context)["CiphertextBlob"]
        rsa_blob = kms.encrypt(Plaintext=b"two", **algorithm)["CiphertextBlob"]
        data_key = kms.generate_data_key(KeyId="alias/derived", KeySpec="AES_256")
    with served(*arguments) as ready:
        kms = client(ready)
        answer = kms.decrypt(CiphertextBlob=blob, KeyId="alias/app", **context)
        assert answer["Plaintext"] == b"one"
        assert answer["KeyId"] == f"arn:aws:kms:us-east-1:123456789012:key/{KEY_ID}"
        assert kms.decrypt(CiphertextBlob=rsa_blob, **algorithm)["Plaintext"] == b"two"
        answer = kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"])
        assert answer["Plaintext"] == data_key["Plaintext"]
        aliases = {alias["AliasName"] for alias in kms.list_aliases(KeyId=KEY_ID)["Aliases"]}
        assert aliases == {"alias/app"}


def test_principals_with_different_policies_get_different_answers(tmp_path: Path) -> None:
    allow = {"Statement": {"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": "*"}}
    deny = {"Statement": {**allow["Statement"], "Effect": "Deny"}}
    in_organization = {
        "Statement": {
            **allow["Statement"],
            "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
        }
    }
    nothing = {"Statement": {**allow["Statement"], "Action": "s3:*"}}
    principals = {
        "READER": {"arn": f"arn:aws:iam::{ACCOUNT}:user/reader", "policies": [allow]},
        "NOBODY": {"arn": "user/nobody"},
        "DENIED": {"arn": "assumed-role/denied/session", "policies": [allow, deny]},
        "MEMBER": {
            "arn": "role/team/member",
            "policies": [in_organization],
            "context": {"aws:PrincipalOrgID": "o-1"},
        },
        "BOUNDED": {"arn": "user/bounded", "policies": [allow], "permissions_boundary": nothing},
        "STRANGER": {"arn": "role/stranger", "policies": [in_organization]},
    }
    arguments = [
        *("--keys", written(tmp_path / "keys.json", {"keys": [key()]})),
        *("--principals", written(tmp_path / "principals.json", {"principals": principals})),
        *("--account", ACCOUNT),
    ]
    request = {"KeyId": KEY_ID, "KeySpec": "AES_256"}
    on = f"on resource: arn:aws:kms:us-east-1:{ACCOUNT}:key/{KEY_ID}"
    missing = "because no identity-based policy allows the kms:GenerateDataKey action"
    with served(*arguments) as ready:
        for allowed in ("READER", "MEMBER", "UNKNOWN"):
            assert client(ready, access_key=allowed).generate_data_key(**request)["Plaintext"]
        for access_key, who, reason in (
            ("NOBODY", f"iam::{ACCOUNT}:user/nobody", missing),
            (
                "DENIED",
                f"sts::{ACCOUNT}:assumed-role/denied/session",
                "with an explicit deny in an identity-based policy",
            ),
            (
                "BOUNDED",
                f"iam::{ACCOUNT}:user/bounded",
                "because no permissions boundary allows the kms:GenerateDataKey action",
            ),
            (
                "STRANGER",
                f"sts::{ACCOUNT}:assumed-role/stranger/{DEFAULT_INSTANCE_ID}",
                missing,
            ),
        ):
            message = denial(client(ready, access_key=access_key).generate_data_key, **request)
            assert message == (
                f"User: arn:aws:{who} is not authorized to perform: kms:GenerateDataKey "
                f"{on} {reason}"
            )


@pytest.mark.parametrize("variables", [{}, {"MOTO_ACCOUNT_ID": "000011112222"}], ids=str)
def test_an_account_and_a_region(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    keys = written(tmp_path / "keys.json", {"keys": [key(aliases=["alias/app"])]})
    flags = ["--account", "012345678901", "--region", "cn-north-1"]
    with served("--keys", keys, *flags) as ready:
        assert (ready["account"], ready["region"]) == ("012345678901", "cn-north-1")
        kms = client(ready, region="cn-north-1")
        arn = f"arn:aws-cn:kms:cn-north-1:012345678901:key/{KEY_ID}"
        assert kms.generate_data_key(KeyId="alias/app", KeySpec="AES_128")["KeyId"] == arn
        elsewhere = client(ready, region="eu-west-1").create_key()["KeyMetadata"]
        assert elsewhere["Arn"].startswith("arn:aws:kms:eu-west-1:012345678901:key/")
        request = {"KeyId": elsewhere["Arn"], "KeySpec": "AES_128"}
        assert client(ready, region="eu-west-1").generate_data_key(**request)["Plaintext"]


def test_a_caller_with_all_of_kms_or_with_what_is_listed(tmp_path: Path) -> None:
    user = f"arn:aws:iam::{ACCOUNT}:user/alice"
    with served("--caller", user) as ready:
        assert ready["account"] == ACCOUNT
        kms = client(ready)
        named = {"Effect": "Allow", "Principal": {"AWS": user}, "Action": "kms:*", "Resource": "*"}
        made = kms.create_key(Policy=json.dumps({"Statement": named}))["KeyMetadata"]
        assert made["AWSAccountId"] == ACCOUNT
        assert kms.generate_data_key(KeyId=made["KeyId"], KeySpec="AES_128")["Plaintext"]
    listed = written(tmp_path / "principals.json", {"principals": {"OTHER": {"arn": user}}})
    with served("--caller", user, "--principals", listed) as ready:
        kms = client(ready)
        made = kms.create_key()["KeyMetadata"]
        message = denial(kms.generate_data_key, KeyId=made["KeyId"], KeySpec="AES_128")
        assert message.startswith(f"User: {user} is not authorized to perform")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--caller", "alice"], "--caller: arn:aws:iam::123456789012:alice is the ARN of no"),
        (
            ["--caller", f"arn:aws:iam::{ACCOUNT}:user/a", "--account", "123456789012"],
            "is of another account than --account 123456789012; give the same account, or leave",
        ),
        (["--account", "12345"], "'12345' is not an account; give its 12 digits"),
        (["--region", "mars-1"], "There is no Region mars-1; give one such as us-east-1."),
        (["--seed", ""], "nothing derives from an empty text"),
        (["--keys", "absent.yaml"], "absent.yaml: cannot be read: No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(arguments: list[str], complaint: str) -> None:
    result = run("serve", *arguments)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_nothing_starts_where_a_file_is_wrong_and_all_of_it_is_told(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"keys:\n  - id: {KEY_ID}\n    polcy: {{}}\n  - id: {RSA_ID}\n")
    principals = written(tmp_path / "principals.json", {"principals": {"A": {}, "B": {"arn": "b"}}})
    result = run("serve", "--keys", str(keys), "--principals", principals)
    assert (result.returncode, result.stdout) == (2, "")
    first, *problems = result.stderr.splitlines()
    assert first == "attested-kms serve: Nothing was started, because of what is wrong:"
    assert [problem.split(" ", 3)[2] for problem in problems] == [
        f"{keys}:3:",
        f"{keys}:4:",
        f"{principals}:",
        f"{principals}:",
    ]
    # Those of the reference are these.
    shown = REFERENCE.read_text().split("## When a file is wrong")[1]
    for problem in problems[:2]:
        assert problem.replace(f"{tmp_path}/", "") in shown


def test_a_folder_keeps_root_and_keys(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    keys = written(tmp_path / "keys.json", {"keys": [{"id": KEY_ID}]})
    arguments = ["--folder", str(folder), "--keys", keys]
    with served(*arguments) as ready:
        assert ready["root_certificate"] == str(folder / "root.pem")
        root = (folder / "root.pem").read_bytes()
        blob = client(ready).encrypt(KeyId=KEY_ID, Plaintext=b"secret")["CiphertextBlob"]
    assert (folder / "seed").stat().st_mode & 0o777 == 0o600
    with served(*arguments) as ready:
        assert (folder / "root.pem").read_bytes() == root
        assert client(ready).decrypt(CiphertextBlob=blob)["Plaintext"] == b"secret"
        # Its seed makes documents that are believed.
        pki = NsmPki(bytes.fromhex((folder / "seed").read_text()))
        answer = decrypt(ready["kms_endpoint"], document_of(pki))
        assert answer["CiphertextForRecipient"]


def test_two_servers_on_one_folder(tmp_path: Path) -> None:
    with served("--folder", str(tmp_path)):
        result = run("serve", "--folder", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr == (
        f"attested-kms serve: Another server uses the folder {tmp_path}; stop it, or give another "
        "--folder.\n"
    )


def test_a_stale_root(tmp_path: Path) -> None:
    with served("--folder", str(tmp_path), "--seed", "one"):
        pass
    root = (tmp_path / "root.pem").read_bytes()
    result = run("serve", "--folder", str(tmp_path), "--seed", "two")
    assert result.returncode == 1
    assert f"{tmp_path / 'root.pem'} is stale: not the root of this server" in result.stderr
    assert (tmp_path / "root.pem").read_bytes() == root
    assert not (tmp_path / "seed").exists()


@pytest.mark.parametrize("host", ["localhost", "::1"])
def test_other_loopback_addresses(host: str) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    with served("--host", host) as ready:
        assert client(ready).create_key()["KeyMetadata"]["Enabled"]


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_beyond_loopback_there_is_a_warning() -> None:
    with subprocess.Popen(
        [*COMMAND, "serve", "--host", "0.0.0.0"],  # noqa: S104  # What is tested.
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = json.loads(process.stdout.readline())
        process.terminate()
        told = process.stderr.read()
    assert told.startswith(
        f"attested-kms serve: warning: {ready['kms_endpoint']} is open beyond this machine: whoever"
    )


def test_an_address_that_is_not_here() -> None:
    result = run("serve", "--host", "192.0.2.1")
    assert result.returncode == 1
    assert "Port 0 of 192.0.2.1 cannot be used" in result.stderr
    assert "an address of this machine" in result.stderr


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "192.0.2.1", "example.org", "")],  # noqa: S104
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_progress_is_told_of_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.9, 2.0, 2.0, 3.9, 4.0, 4.0])
    monkeypatch.setattr("simulator.serve.time.monotonic", lambda: next(now))
    told: list[str] = []
    progress = told_after(2.0, told.append, "keys")
    for done in range(1, 5):
        progress(done, 9)
    assert told == ["keys: 2 of 9", "keys: 4 of 9"]


def blocks() -> dict[str, str]:
    """The examples of the reference, by the file name in their first line."""
    found = re.findall(r"```\w+\n# (\S+)\n(.*?)```", REFERENCE.read_text(), re.DOTALL)
    return {name: f"# {name}\n{text}" for name, text in found}


def test_the_examples_of_the_reference(tmp_path: Path) -> None:
    examples = blocks()
    for name, text in examples.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "wrapping.pem").write_text(pem())
    command = re.search(r"    attested-kms serve (--keys .*)\n", REFERENCE.read_text())
    assert command is not None
    arguments = [str(tmp_path / word) if word in examples else word for word in command[1].split()]
    with served(*arguments) as ready:
        result = subprocess.run(
            [sys.executable, str(tmp_path / "client.py")],
            env={**os.environ, "KMS_ENDPOINT": ready["kms_endpoint"]},
            capture_output=True,
            text=True,
            check=False,
        )
        aliases = {alias["AliasName"] for alias in client(ready).list_aliases()["Aliases"]}
    assert (result.returncode, result.stderr) == (0, "")
    printed = re.search(r"prints\n\n```text\n(.*?)```", REFERENCE.read_text(), re.DOTALL)
    assert printed is not None
    assert result.stdout == printed[1]
    assert {"alias/app", "alias/derived", "alias/wrapping"} <= aliases
