"""What of a run is held to its record on hardware, and what explains a difference."""

from __future__ import annotations

from typing import Any

from scenarios.comparing import Difference, answers, differences, unexplained
from scenarios.known_differences import KNOWN_DIFFERENCES, KnownDifference

REFUSAL = {"outcome": "error", "code": "ValidationException", "message": "no", "http_status": 400}
OPENED = {"outcome": "opened", "plaintext_bytes": 6, "members": {"KeyId": "key"}}


def kms(answer: dict[str, Any], operation: str = "Decrypt", by: str = "enclave") -> dict[str, Any]:
    return {"kind": "kms", "by": by, "operation": operation, "answer": answer, "seconds": 1}


def observation(name: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "observation", "name": name, "rules": [], "answer": answer}


def command(exit_code: int, stderr: str = "", action: str = "run-enclave") -> dict[str, Any]:
    words = ["nitro-cli", action, "--cpu-count", "2"]
    return {"kind": "command", "words": words, "exit_code": exit_code, "stderr": stderr}


def test_the_same_answers_differ_in_nothing_though_all_else_does() -> None:
    recorded = [{"kind": "attest", "bytes": 4000}, kms(OPENED), kms(REFUSAL)]
    here = [kms(OPENED | {"members": {}}), kms(REFUSAL | {"rule": "document.age"})]
    assert differences(recorded, here) == []


def test_each_fact_of_a_refusal_counts() -> None:
    for member, other in {"code": "DisabledException", "message": "", "http_status": 403}.items():
        [found] = differences(
            [kms(OPENED), kms(REFUSAL)], [kms(OPENED), kms({**REFUSAL, member: other})]
        )
        assert (found.place, found.member) == ("Decrypt by enclave, 2", member)
        assert (found.recorded, found.here) == (REFUSAL[member], other)


def test_of_our_own_words_for_an_unknown_text_only_that_they_are_ours_counts() -> None:
    mark = "[attested-kms: real text unknown, document.structure]"
    one, other = (kms({**REFUSAL, "message": f"{n} bytes. {mark}"}) for n in (1, 2))
    assert differences([one], [other]) == []
    [found] = differences([kms(REFUSAL)], [one])
    assert (found.member, found.recorded, found.here) == ("message", "no", mark)


def test_a_call_that_was_refused_and_succeeds() -> None:
    members = [it.member for it in differences([kms(REFUSAL)], [kms(OPENED)])]
    assert members == ["outcome", "code", "message", "http_status"]


def test_an_answer_more_or_less() -> None:
    [more] = differences([kms(REFUSAL)], [kms(REFUSAL), kms(OPENED, by="parent")])
    assert more == Difference("Decrypt by parent", "answer", None, "opened")
    [less] = differences([kms(REFUSAL), kms(OPENED, "GenerateDataKey")], [kms(REFUSAL)])
    assert less == Difference("GenerateDataKey by enclave", "answer", "opened", None)


def test_what_only_sets_up_does_not_count() -> None:
    encrypted = kms({"outcome": "result", "members": {}}, "Encrypt", "parent")
    assert differences([encrypted, kms(REFUSAL)], [kms(REFUSAL)]) == []


def test_an_observation_counts_once_with_the_members_of_its_answer() -> None:
    raw = {"outcome": "result", "http_status": 200}
    recorded = raw | {"members": {"Plaintext": None, "CiphertextForRecipient": {"bytes": 461}}}
    here = raw | {"members": {"CiphertextForRecipient": {"bytes": 465}}}
    one, other = ([kms(it), observation("null", it)] for it in (recorded, here))
    assert list(answers(one)) == ["null"]
    [found] = differences(one, other)
    assert (found.place, found.member) == ("null", "members")
    assert found.recorded == {"Plaintext": "null", "CiphertextForRecipient": "461 bytes"}
    assert found.here == {"CiphertextForRecipient": "465 bytes"}


def test_of_a_command_the_exit_code_and_the_error_codes_count() -> None:
    said = "[ E29 ] Ioctl failure. Such error\n[ E39 ] Enclave process\n"
    recorded = [command(39, said)]
    assert differences(recorded, [command(39, said.replace("Such", "Another"))]) == []
    [found] = differences(recorded, [command(39, "[ E39 ] Enclave process\n")])
    assert found == Difference("nitro-cli run-enclave", "errors", ["E29", "E39"], ["E39"])


def test_a_command_that_is_repeated_until_something_happens_counts_once() -> None:
    described = command(0, action="describe-enclaves")
    assert differences([described], [described] * 5) == []
    assert differences([described, command(39)], [described] * 3 + [command(39)]) == []


def test_scripts_and_systems_manager_are_held_too() -> None:
    script = {"kind": "script", "text": "x", "exit_code": 1, "stdout": "one"}
    sent = {"kind": "systems-manager", "operation": "SendCommand", "code": "Refused"}
    [first, second] = differences(
        [script, sent], [script | {"exit_code": 0, "stdout": "two"}, sent | {"code": "Other"}]
    )
    assert (first.place, first.member) == ("script", "exit_code")
    assert (second.place, second.member) == ("SendCommand", "code")


FOUND = Difference("Decrypt by enclave", "message", "real", "ours")
ENTRY = KnownDifference("area/name", "Decrypt by enclave", "message", "text not carried over")


def test_a_difference_that_nobody_explained() -> None:
    [sentence] = unexplained("area/name", "sim", [FOUND], [])
    assert sentence == "Decrypt by enclave: message is 'ours', recorded is 'real'"
    assert list(unexplained("area/other", "sim", [FOUND], [ENTRY])) == [sentence]


def test_a_difference_that_is_explained() -> None:
    assert list(unexplained("area/name", "sim", [FOUND], [ENTRY])) == []


def test_an_explanation_of_what_is_no_difference_now() -> None:
    [sentence] = unexplained("area/name", "sim", [], [ENTRY])
    assert "text not carried over" in sentence
    assert "take the entry out" in sentence
    assert list(unexplained("area/name", "hardware", [], [ENTRY])) == []


def test_nothing_is_known_to_differ_while_nothing_is_recorded() -> None:
    assert KNOWN_DIFFERENCES == ()
