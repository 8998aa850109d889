"""`attested-kms inspect` on documents that real Nitro hardware signed, and on forged ones."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import pytest

from simulator.inspection.moments import in_words
from tests.simulator.inspected import inspect, rules
from tests.simulator.inspected_documents import FIRST_RULES, USABLE

MONTH_MS = 30 * 24 * 3_600_000


@pytest.fixture(scope="module")
def folder(shared_vectors: Path) -> Path:
    return shared_vectors / "attestation"


@pytest.fixture(scope="module")
def reports(folder: Path) -> dict[str, dict[str, Any]]:
    """The report on each real document at its own time, by file name."""
    return {path.name: report(path, "document") for path in sorted(folder.glob("*.bin"))}


def report(path: Path, at: str) -> dict[str, Any]:
    ran = inspect(path, "--root", "aws", "--at", at, "--json")
    assert ran.err == ""
    return ran.report


def listed(folder: Path) -> dict[str, dict[str, str]]:
    """The table beside the documents: file name to its columns."""
    lines = (folder / "README.md").read_text().splitlines()
    names = ("file", "module_id", "timestamp", "kind", "map", "bytes", "public_key", "user_data")
    rows = csv.reader((line for line in lines if line.startswith("| `2")), delimiter="|")
    tables = (dict(zip(names, map(str.strip, row[1:]), strict=False)) for row in rows)
    return {row["file"].strip("`"): row for row in tables}


def test_all_are_authentic_and_meet_the_rules_of_the_table(
    folder: Path, reports: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = {
        hashlib.sha256((folder / name).read_bytes()).hexdigest(): (rules(report) or [USABLE])[0]
        for name, report in reports.items()
    }
    authentic = sum(report["authentic"] for report in reports.values())
    with capsys.disabled():
        print(f"\ninspect --root aws --at document: {authentic} of {len(reports)} authentic")
    assert authentic == len(reports) == 61
    assert found == FIRST_RULES
    assert list(found.values()).count(USABLE) == 1
    for report in reports.values():
        assert report["exit_code"] == (3 if report["refusals"] else 0)


def test_the_table_is_what_the_public_keys_are(folder: Path) -> None:
    """The committed table against the list beside the documents, by a way of its own."""
    for name, row in listed(folder).items():
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        column = row["public_key"]
        if column.startswith(("null", "empty")):
            expected = "public-key.missing"
        elif column.startswith("SPKI RSA"):
            expected = USABLE if column == "SPKI RSA 294" else "public-key.size"
        else:
            expected = "public-key.encoding"
        assert FIRST_RULES[digest] == expected, name


def test_the_facts_are_those_of_the_list(folder: Path, reports: dict[str, dict[str, Any]]) -> None:
    modes = {"debug": True, "prod": False, "NitroTPM": None}
    rows = listed(folder)
    assert set(rows) == set(reports)
    for name, row in rows.items():
        document = reports[name]["document"]
        sizes = (reports[name]["input"]["bytes"], document["timestamp_ms"])
        assert sizes == (int(row["bytes"]), int(row["timestamp"])), name
        assert document["module_id"] == row["module_id"]
        assert document["debug_mode"] is modes[row["kind"]], name
        assert document["outer_map"] == {"a9": "definite", "bf": "indefinite"}[row["map"]]
        assert len(document["certificates"]) == 5
        assert all(certificate["valid"] for certificate in document["certificates"])


def test_pcr4_is_that_of_the_instance_in_every_one(reports: dict[str, dict[str, Any]]) -> None:
    enclaves = [each["document"] for each in reports.values()]
    for document in enclaves:
        if document["platform"] == "enclave":
            explained = document["pcrs"][4]["explained"]
            assert explained == f"is that of {document['instance_id']}"
    assert sum(document["platform"] == "nitro-tpm" for document in enclaves) == 2


def test_a_month_later_none_is_authentic(
    folder: Path, reports: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    later = [
        report(folder / name, in_words(made["document"]["timestamp_ms"] + MONTH_MS))
        for name, made in reports.items()
    ]
    authentic = sum(each["authentic"] for each in later)
    with capsys.disabled():
        print(f"\na month after each: {authentic} of {len(later)} authentic")
    assert authentic == 0
    assert all(rules(each)[0] == "document.validity" for each in later)
    assert all(each["exit_code"] == 1 for each in later)


def test_no_invalid_document_is_authentic(folder: Path) -> None:
    first = {
        path.name[:8]: rules(report(path, "document"))[0]
        for path in sorted((folder / "invalid").glob("*.bin"))
    }
    assert first == {
        "20210909": "document.certificate",
        "20221109": "document.signature",
        "20221216": "document.structure",
        "20240417": "document.structure",
        "20241213": "document.root",
        "20250430": "document.root",
    }
