"""A watched target passes everything on, and notes each step in the published form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from scenarios.notes import Notes
from scenarios.results import Run, ScenarioResult, summary_of, write
from scenarios.target import Capability, KmsError, NotSent, Opened, PublicKeyForm, RawAnswer, Target
from scenarios.watching import Watched
from simulator.schema_check import schema
from tests.scenarios.stub_target import ARN, DENIED, ROLE, SECRET, StubTarget

KEY = "arn:aws:kms:<region>:<account>:key/<key-id>"


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def target(notes: Notes) -> Target:
    return Watched(StubTarget(), notes)


def timeless(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: it for name, it in step.items() if name != "seconds"} for step in steps]


def use_everything(target: Target) -> None:
    """All that the contract offers, once."""
    enclave = target.enclave()
    enclave.attest(nonce=b"nonce")
    key = target.key([{"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "kms:Decrypt"}])
    blob = key.encrypt(b"secret", {"tenant": "a"})
    enclave.run("Decrypt", {"CiphertextBlob": blob})
    enclave.run("Decrypt", {"CiphertextBlob": blob}, send_recipient=False)
    enclave.run("Decrypt", {}, public_key=PublicKeyForm.PKCS1)
    target.kms.call("Decrypt", {"CiphertextBlob": blob})
    target.kms.send("Decrypt", {"CiphertextBlob": "YQ=="})
    target.kms.raw("Decrypt", {"CiphertextBlob": blob})
    target.kms.raw("GenerateDataKey", {})
    key.disable()
    target.enclave(debug=True)
    target.pass_time(290)
    target.foreign_document(pcrs=enclave.pcrs)
    with target.rule_set("aws"), target.identity_policy([]):
        pass
    with target.parent_instance() as parent:
        parent.image(cmd=["/hello"])
        parent.nitro_cli("run-enclave", environment={"HOME": None})
        parent.nitro_cli_killed("run-enclave", after="hello")
        parent.ask(16, 5000, b"line")
    with target.fresh_instance() as fresh:
        fresh.shell("true")
        fresh.systems_manager.send([])
        fresh.systems_manager.invocation("id")
        fresh.systems_manager.listed_output("id")


def test_everything_is_noted_in_the_published_form(
    target: Target, notes: Notes, tmp_path: Path
) -> None:
    use_everything(target)
    notes.observe("what came", Opened(SECRET, {}), rules=("document.age",))
    kinds = {step["kind"] for step in notes.steps}
    published = schema("results")
    assert kinds == set(published["$defs"]["step"]["properties"]["kind"]["enum"])
    scenario = ScenarioResult(
        "area/name", "node", "Summary.", "Docstring.", "reported", "a source", steps=notes.steps
    )
    file = write(Run("sim", "", {"region": "eu-central-1"}, 0, [scenario]), tmp_path)
    assert [
        it.message
        for it in Draft202012Validator(published).iter_errors(json.loads(file.read_text()))
    ] == []


def test_nothing_that_is_noted_is_secret_or_somebodys(target: Target, notes: Notes) -> None:
    use_everything(target)
    noted = json.dumps(notes.steps)
    for secret in (SECRET.decode(), SECRET.hex(), "123456789012", "i-0123456789abcdef0", "host"):
        assert secret not in noted


def test_a_call_from_the_enclave_with_the_recipient_that_it_composes(
    target: Target, notes: Notes
) -> None:
    answer = target.enclave().run(
        "Decrypt",
        {"KeyId": ARN},
        recipient={"KeyEncryptionAlgorithm": None},
        public_key=PublicKeyForm.PKCS1,
    )
    assert answer == KmsError("ValidationException", "Invalid public key", 400)
    document = {"fresh": True, "public_key": "pkcs1"}
    assert timeless(notes.steps) == [
        {
            "kind": "kms",
            "by": "enclave",
            "operation": "Decrypt",
            "request": {"KeyId": KEY, "Recipient": {"AttestationDocument": document}},
            "opener": "cms",
            "answer": {
                "outcome": "error",
                "code": "ValidationException",
                "message": "Invalid public key",
                "http_status": 400,
                "rule": "public-key.encoding",
            },
        }
    ]


def test_the_raw_answer_shows_what_is_null(target: Target, notes: Notes) -> None:
    assert target.kms.raw("Decrypt", {}).http_status == 200
    target.kms.raw("GenerateDataKey", {})
    assert [step["answer"] for step in notes.steps] == [
        {
            "outcome": "result",
            "http_status": 200,
            "members": {
                "KeyId": KEY,
                "Plaintext": None,
                "CiphertextForRecipient": "<base64 of 80 characters>",
            },
        },
        {
            "outcome": "error",
            "code": "SerializationException",
            "message": "no",
            "http_status": 400,
            "rule": "request.object",
            "members": {"__type": "com.amazonaws#SerializationException", "Message": "no"},
        },
    ]


def test_what_ends_without_an_answer_is_noted_and_raised(target: Target, notes: Notes) -> None:
    with pytest.raises(NotSent):
        target.kms.call("Unknown", {})
    with pytest.raises(ConnectionError):
        target.kms.call("Broken", {})
    assert [step["answer"] for step in notes.steps] == [
        {"outcome": "not-sent", "message": "Unknown parameter"},
        {"outcome": "failed", "message": f"ConnectionError: no route to {KEY}"},
    ]
    assert all("seconds" in step for step in notes.steps)


def test_everything_is_passed_on(target: Target) -> None:
    answer = target.kms.call("Decrypt", {})
    assert answer == KmsError("AccessDeniedException", DENIED, 400)
    assert target.key([]).arn == ARN
    assert getattr(target, "beyond_the_contract") == "seen"  # noqa: B009  # Not in the type.
    assert target.provenance == {"region": "eu-central-1"}


def test_a_target_without_an_enclave_needs_no_kms(notes: Notes) -> None:
    class Host:
        name = "host"
        capabilities = frozenset({Capability.NITRO_CLI})

    host: Any = Host()
    watched = Watched(host, notes)
    assert watched.name == "host"
    with pytest.raises(AttributeError, match="kms"):
        _ = watched.kms


def test_a_boot_is_noted_where_the_mode_changes(target: Target, notes: Notes) -> None:
    for debug in (False, True, True, False):
        target.enclave(debug=debug)
    assert timeless(notes.steps) == [
        {"kind": "boot", "debug": True},
        {"kind": "boot", "debug": False},
    ]


def test_the_names_of_observations_are_unique_in_a_scenario(notes: Notes) -> None:
    notes.observe("one", RawAnswer(400, "{}"))
    with pytest.raises(ValueError, match="'one'"):
        notes.observe("one", RawAnswer(400, "{}"))
    notes.begin()
    notes.observe("one", RawAnswer(502, "<html>"))
    [step] = notes.steps
    assert step["answer"]["outcome"] == "failed"


@pytest.mark.parametrize(
    ("docstring", "summary"),
    [
        ("One sentence.", "One sentence."),
        ("The first\n sentence. The second.", "The first sentence."),
        ("", ""),
    ],
)
def test_the_summary_is_the_first_sentence(docstring: str, summary: str) -> None:
    assert summary_of(docstring) == summary
