"""Files as runs of the suite leave them, made by hand: each part has a valid default."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from scenarios import records

WHEN = "2026-11-27T21:00:00Z"
RECORDED = "2026-12-01T09:30:00Z"
HARDWARE = {
    "region": "eu-central-1",
    "instance_type": "m6i.xlarge",
    "nitro_cli": "1.4.4",
    "kernel": "6.1.0",
    "root_sha256": records.AWS_ROOT_SHA256,
}
NO_KEY = "You must specify a recipient public key in this request."

Json = dict[str, Any]


def answer(**members: Any) -> Json:
    return {"outcome": "result", **members}


def refused(message: str = NO_KEY, rule: str | None = "public-key.missing", **members: Any) -> Json:
    told = {
        "outcome": "error",
        "code": "ValidationException",
        "message": message,
        "http_status": 400,
    }
    return {**told, **({} if rule is None else {"rule": rule}), **members}


def kms(
    given: Json,
    *,
    by: str = "enclave",
    operation: str = "Decrypt",
    public_key: str = "spki",
    **members: Any,
) -> Json:
    request: Json = {
        "CiphertextBlob": {"bytes": 203},
        "Recipient": {
            "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
            "AttestationDocument": {"fresh": True, "public_key": public_key},
        },
    }
    if by == "parent":
        del request["Recipient"]
    step = {"kind": "kms", "by": by, "operation": operation, "request": request}
    return {**step, "answer": {**given}, "seconds": 0.05, **members}


OPENED = answer(outcome="opened", members={"CiphertextForRecipient": {"bytes": 473}})
STEPS: tuple[Json, ...] = (
    {"kind": "boot", "debug": False},
    {"kind": "key", "statements": [{"Effect": "Allow", "Action": ["kms:Decrypt"]}]},
    kms(refused(), public_key="absent"),
    kms(OPENED),
)


def scenario(name: str = "bugs/bug-8-2-no-public-key", **members: Any) -> Json:
    area, _, rest = name.partition("/")
    return {
        "id": name,
        "nodeid": f"scenarios/test_{area}.py::test_{rest.replace('-', '_')}",
        "summary": "A document without a public key is refused.",
        "docstring": "A document without a public key is refused.\n\nThe NSM had signed it.",
        "evidence": "reported",
        "source": "field notes, bug 8.2",
        "outcome": "passed",
        "reason": "",
        "seconds": 0.5,
        "steps": list(STEPS),
        **members,
    }


def results(target: str = "sim", *scenarios: Json, **members: Any) -> Json:
    provenance = HARDWARE if target == "hardware" else {"region": "us-east-1"}
    return {
        "version": 1,
        "target": target,
        "transport": "fabric" if target == "sim" else "",
        "when": WHEN,
        "attested_kms": "0.1.0",
        "provenance": provenance,
        "deselected": 0,
        "scenarios": list(scenarios or (scenario(),)),
        **members,
    }


def record(name: str = "bugs/bug-8-2-no-public-key", **members: Any) -> Json:
    """With a checksum that is right, unless one is given."""
    made: Json = {
        "version": 1,
        "scenario": name,
        "target": "hardware",
        "when": RECORDED,
        "attested_kms": "0.1.0",
        "provenance": HARDWARE,
        "outcome": "passed",
        "seconds": 0.9,
        "steps": [*STEPS[:2], kms(refused(), public_key="absent"), STEPS[3]],
        **members,
    }
    made["steps"] = deepcopy(made["steps"])
    for step in made["steps"]:
        step.get("answer", {}).pop("rule", None)  # Real KMS names none.
    return {**made, "checksum": members.get("checksum", records.checksum(made))}


class World:
    """A folder with results and a folder with records."""

    def __init__(self, folder: Path) -> None:
        self.results = folder / ".results"
        self.records = folder / "records"
        self.results.mkdir()
        self.records.mkdir()

    def ran(self, *runs: Mapping[str, Any]) -> None:
        for run in runs:
            (self.results / f"{run['target']}.json").write_text(json.dumps(run))

    def recorded(self, *records: Mapping[str, Any]) -> None:
        for each in records:
            area, _, rest = each["scenario"].partition("/")
            name = f"{area}.{rest.replace('-', '_')}.validation.json"
            (self.records / name).write_text(json.dumps(each))

    @property
    def options(self) -> Sequence[str]:
        return ("--results", str(self.results), "--records", str(self.records))
