"""What a command does in a world, told as one JSON object: for test_rehearsal_world.py.

Run there as a program; it imports nothing of this project.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROLE = "arn:aws:iam::123456789012:role/EnclaveInstance"
ACCOUNT = "arn:aws:iam::123456789012:root"
ONCE = Config(retries={"total_max_attempts": 1})
ANYBODY = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "x"}


def said(call: Callable[[], Any]) -> Any:
    """An error's code, status and message; None for an answer."""
    try:
        call()
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return [error.response["Error"]["Code"], status, error.response["Error"]["Message"]]
    except BotoCoreError as error:
        return [type(error).__name__]
    return None


def policy(*actions: str) -> str:
    """A key policy that leaves the actions to the account."""
    statement = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Resource": "*"}
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{**statement, "Action": list(actions)}]}
    )


def identity() -> dict[str, Any]:
    """Who the instance is, and what IAM and EC2 say of it."""
    session = boto3.Session()
    credentials = session.get_credentials()
    assert credentials is not None
    iam, ec2 = session.client("iam", config=ONCE), session.client("ec2", config=ONCE)
    ask = iam.simulate_principal_policy
    simulated = ask(PolicySourceArn=ROLE, ActionNames=["kms:CreateKey", "kms:EnableKey"])
    described = ec2.describe_instances()["Reservations"][0]["Instances"][0]
    wanted = [described["InstanceType"]]
    return {
        "method": credentials.method,
        "arn": session.client("sts").get_caller_identity()["Arn"],
        "simulated": {
            one["EvalActionName"]: one["EvalDecision"] for one in simulated["EvaluationResults"]
        },
        "session": said(
            lambda: ask(PolicySourceArn=f"{ROLE}".replace("iam", "sts"), ActionNames=["a:b"])
        ),
        "instance": [described["InstanceId"], described["EnclaveOptions"]["Enabled"]],
        "other": said(lambda: ec2.describe_instances(InstanceIds=["i-0123456789abcdef0"])),
        "dry": said(lambda: ec2.describe_instances(DryRun=True)),
        "type": ec2.describe_instance_types(InstanceTypes=wanted)["InstanceTypes"][0][
            "NitroEnclavesSupport"
        ],
        "role": said(lambda: iam.get_role(RoleName="EnclaveInstance")),
    }


def keys() -> dict[str, Any]:
    """A key's life, as it is seen."""
    kms = boto3.client("kms", config=ONCE)
    tagging = boto3.client("resourcegroupstaggingapi", config=ONCE)
    tags = [{"TagKey": "attested-kms:run", "TagValue": "r1"}]
    made = kms.create_key(Policy=policy("kms:*"), Tags=tags)["KeyMetadata"]
    key = made["KeyId"]
    told: dict[str, Any] = {"arn": made["Arn"]}
    told["new"] = [said(lambda: kms.describe_key(KeyId=key)) for _ in range(4)]
    blob = kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    told["plaintext"] = kms.decrypt(CiphertextBlob=blob)["Plaintext"].decode()
    kms.put_key_policy(KeyId=key, Policy=policy("kms:PutKeyPolicy", "kms:D*", "kms:Sch*"))
    told["encrypt"] = [said(lambda: kms.encrypt(KeyId=key, Plaintext=b"x")) for _ in range(4)]
    told["enable"] = said(lambda: kms.enable_key(KeyId=key))
    kms.disable_key(KeyId=key)
    told["decrypt"] = [said(lambda: kms.decrypt(CiphertextBlob=blob)) for _ in range(4)]
    found = tagging.get_resources(TagFilters=[{"Key": "attested-kms:run", "Values": ["r1"]}])
    told["tagged"] = found["ResourceTagMappingList"]
    told["window"] = said(lambda: kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=6))
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    told["alias"] = said(lambda: kms.create_alias(AliasName="alias/a", TargetKeyId=key))
    return told


def failures() -> dict[str, Any]:
    """Calls that fail, as the world was told, and for other reasons."""
    kms = boto3.client("kms", config=ONCE)
    return {
        "cut": [said(kms.list_keys) for _ in range(3)],
        "expired": [said(boto3.client("iam", config=ONCE).list_roles)],
        "throttled": said(kms.list_aliases),
        "nobody": said(boto3.client("kms", config=ONCE, **ANYBODY).list_keys),
        "nobody's sts": said(boto3.client("sts", config=ONCE, **ANYBODY).get_caller_identity),
    }


def commands() -> dict[str, Any]:
    """Docker, and nitro-cli, which fails as the world was told."""
    folder = Path(os.environ["TMPDIR"], "context")
    folder.mkdir()
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY Dockerfile /app\nCMD ["/app"]\n')
    told: dict[str, Any] = {}
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    for name, words in {
        "build": ["docker", "build", "-q", "-t", "app", str(folder)],
        "images": ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"],
        "remove": ["docker", "rmi", "app"],
        "describe": ["nitro-cli", "describe-enclaves"],
        "again": ["nitro-cli", "describe-enclaves"],
        "run": [
            "nitro-cli",
            "run-enclave",
            "--eif-path",
            "x",
            "--cpu-count",
            "2",
            "--memory",
            "64",
        ],
    }.items():
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        told[name] = [done.returncode, done.stdout, done.stderr]
    told["heard"] = [number == signal.SIGTERM for number in heard]
    for path in (folder / "Dockerfile", folder):
        path.unlink() if path.is_file() else path.rmdir()
    return told


def surroundings() -> dict[str, Any]:
    """The environment, the file that it names, and the clock that is moved by what that says."""
    names = [name for name in os.environ if name.startswith(("AWS_", "ATTESTED_KMS_"))]
    told = json.loads(Path(os.environ["ATTESTED_KMS_REHEARSAL"]).read_text())
    body = json.dumps({"offset_seconds": 3600}).encode()
    request = urllib.request.Request(  # noqa: S310  # Loopback.
        f"{told['management_endpoint']}/clock", body, method="PUT"
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        moved = json.loads(answer.read())["kms"]["offset_seconds"]
    return {
        "variables": sorted(names),
        "region": os.environ["AWS_REGION"],
        "launcher": told["launcher"],
        "records": Path(told["records"]).is_dir(),
        "moved": moved,
        "device": Path("/dev/nitro_enclaves").exists(),
        "vsock": hasattr(socket, "AF_VSOCK"),
    }


if __name__ == "__main__":
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "identity": identity,
        "keys": keys,
        "failures": failures,
        "commands": commands,
        "surroundings": surroundings,
    }
    json.dump({name: part() for name, part in parts.items()}, sys.stdout)
