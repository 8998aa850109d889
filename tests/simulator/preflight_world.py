"""A parent instance that is written down, on which a hardware run may begin; tests break it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from real_hw.permissions import PERMISSIONS, Scope
from tests.simulator.doctor_hosts import command
from tests.simulator.doctor_parents import (
    ALLOCATOR_YAML,
    DEVICE,
    FREE_PAGES,
    NR_PAGES,
    Files,
    parent,
)

ACCOUNT = "111122223333"
INSTANCE = "i-05f6ed443ae428c95"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/runner"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/runner/{INSTANCE}"
VSOCK = "/dev/vsock"
NOON = dt.datetime(2026, 1, 27, 12, tzinfo=dt.UTC).timestamp()
DATE = "Tue, 27 Jan 2026 12:00:00 GMT"
METADATA = "http://169.254.169.254/latest"
KMS = "https://kms.us-east-1.amazonaws.com/"
ASKED = [each.action for each in PERMISSIONS if each.scope in {Scope.ANY, Scope.KEYS}]
"""The actions that IAM is asked about."""

FILES: dict[str, str | bytes] = {
    ALLOCATOR_YAML: "---\nmemory_mib: 1024\ncpu_count: 2\n",
    "/proc/sys/kernel/osrelease": "6.1.158-178.288.amzn2023.x86_64\n",
    NR_PAGES: "512\n",
    FREE_PAGES: "512\n",
}
DOCKER = ("docker", "version", "--format", "{{.Server.Version}}")
DF = ("df", "-Pk", "/root", "/var")
COMMANDS = (
    command("nitro-cli", "--version", stdout="Nitro CLI 1.4.4\n"),
    command(*DOCKER, stdout="25.0.14\n"),
)


def df(*free_kib: int) -> dict[str, Any]:
    """What df says of the two folders."""
    head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
    lines = "".join(f"/dev/nvme0n1p1 31444972 4321000 {free} 14% /\n" for free in free_kib)
    return command(*DF, stdout=head + lines)


def metadata(path: str, body: str | Mapping[str, Any], **outcome: Any) -> dict[str, Any]:
    """An answer of the metadata service."""
    text = body if isinstance(body, str) else json.dumps(body)
    return {"url": f"{METADATA}/{path}", "body": text, **outcome}


def document(**members: str) -> dict[str, Any]:
    """The identity document."""
    return metadata(
        "dynamic/instance-identity/document",
        {
            "instanceId": INSTANCE,
            "instanceType": "m6i.xlarge",
            "region": REGION,
            "accountId": ACCOUNT,
            **members,
        },
    )


def credentials(expires: str = "2026-01-27T18:00:00Z", code: str = "Success") -> dict[str, Any]:
    """Those of the role."""
    return metadata(
        "meta-data/iam/security-credentials/runner",
        {"Code": code, "Expiration": expires, "SecretAccessKey": "hunter2", "Token": "hunter2"},
    )


ANSWERS = (
    metadata("api/token", "dG9rZW4=", method="PUT"),
    document(),
    metadata("meta-data/iam/security-credentials/", "runner"),
    credentials(),
    {"url": KMS, "status": 404, "headers": {"Date": DATE}},
)


def aws(service: str, operation: str, **answer: Any) -> dict[str, Any]:
    """An answer of AWS."""
    return {"service": service, "operation": operation, **answer}


def identity(arn: str = SESSION, date: str = DATE) -> dict[str, Any]:
    """Of STS."""
    result = {"Arn": arn, "Account": ACCOUNT, "UserId": "AROA:x"}
    return aws("sts", "GetCallerIdentity", result=result, headers={"Date": date})


def simulated(**decisions: str | Mapping[str, Any]) -> dict[str, Any]:
    """Of IAM: all are allowed but those that are named, with _ for the colon."""
    named = {name.replace("_", ":"): said for name, said in decisions.items()}
    results = []
    for action in ASKED:
        said = named.get(action, "allowed")
        members = {"EvalDecision": said} if isinstance(said, str) else said
        results.append({"EvalActionName": action, **members})
    return aws("iam", "SimulatePrincipalPolicy", result={"EvaluationResults": results})


def described(*, enabled: bool) -> dict[str, Any]:
    """Of EC2."""
    instance = {"InstanceId": INSTANCE, "EnclaveOptions": {"Enabled": enabled}}
    return aws("ec2", "DescribeInstances", result={"Reservations": [{"Instances": [instance]}]})


AWS = (identity(), described(enabled=True), simulated())


def ready(
    folder: Path,
    files: Files | None = None,
    commands: Sequence[dict[str, Any]] = (),
    *,
    answers: Sequence[dict[str, Any]] = (),
    of_aws: Sequence[dict[str, Any]] = (),
    environ: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
    **described: Any,
) -> Path:
    """The folder; what is given comes before what is usual."""
    usual = {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    region = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
    given = [entry["words"] for entry in commands]
    own = [
        entry for entry in (*COMMANDS, df(20_000_000, 20_000_000)) if entry["words"] not in given
    ]
    return parent(
        folder,
        {**FILES, **(files or {})},
        [*commands, *own],
        without=without,
        **{
            "environ": {**usual, **(region if environ is None else environ)},
            "answers": [*answers, *ANSWERS],
            "aws": [*of_aws, *AWS],
            "now": NOON,
            "devices": [DEVICE, VSOCK],
            **described,
        },
    )
