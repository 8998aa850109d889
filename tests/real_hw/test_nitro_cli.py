"""What nitro-cli prints of an error becomes a sentence that names the right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from real_hw import nitro_cli
from real_hw.actions import ActionFailed, Command
from scenarios.target import Finished
from tests.real_hw.scripted import Scripted


def printed(*codes: str) -> str:
    return "Start allocating memory...\n" + "Failed connections: 1\n".join(
        f"[ {code} ] The text of {code}.\n\n"
        f"For more details, please visit https://docs.aws.amazon.com/x.html#{code}\n\n"
        "If you open a support ticket, please provide the error log found at "
        f'"/var/log/nitro_enclaves/err-{code}.log"\n'
        for code in codes
    )


class Instance(Scripted):
    def read(self, path: Path, _stand_in: str) -> str:
        if "E50" in path.name:
            raise ActionFailed(f"{path} cannot be read: No such file")
        return f"  Action: of {path.name}\n"


def refused(stderr: str, exit_code: int) -> nitro_cli.NitroCliFailed:
    world = Instance(fail={"nitro-cli run-enclave": Finished(exit_code, "", stderr)})
    command = Command(("nitro-cli", "run-enclave", "--memory", "1"), "the enclave boots", "")
    with pytest.raises(nitro_cli.NitroCliFailed) as caught:
        nitro_cli.succeeded(world, command)
    return caught.value


def test_exit_code_39_is_told_by_the_first_error() -> None:
    error = refused(printed("E29", "E39"), 39)
    assert error.code == "E29"
    told = str(error)
    assert told.startswith("nitro-cli run-enclave failed with E29: The text of E29.")
    assert "exit code 39; it printed E29 first, and then E39" in told
    assert "It was to do this: the enclave boots." in told
    assert "/var/log/nitro_enclaves/err-E29.log says:\nAction: of err-E29.log" in told


def test_a_single_error() -> None:
    error = refused(printed("E51"), 51)
    assert error.code == "E51"
    assert "it printed E51 first)" in str(error)


def test_an_error_log_that_cannot_be_read_does_not_hide_the_error() -> None:
    error = refused(printed("E50"), 50)
    assert error.code == "E50"
    assert "Its error log could not be read" in str(error)


@pytest.mark.parametrize(("stderr", "shown"), [("", "nothing"), ("error: bad flag\n", "bad flag")])
def test_an_error_without_a_code(stderr: str, shown: str) -> None:
    error = refused(stderr, 2)
    assert error.code is None
    assert f"exit code 2 and printed: {'error: ' if stderr else ''}{shown}" in str(error)


def test_the_errors_in_their_order_with_their_logs() -> None:
    told = nitro_cli.refusals(printed("E19", "E39"))
    assert [(one.code, one.text) for one in told] == [
        ("E19", "The text of E19."),
        ("E39", "The text of E39."),
    ]
    assert told[1].log == "/var/log/nitro_enclaves/err-E39.log"


def test_an_answer_that_is_no_json() -> None:
    world = Scripted(fail={"nitro-cli describe-enclaves": Finished(0, "hello", "")})
    with pytest.raises(ActionFailed, match="nitro-cli describe-enclaves printed no JSON: 'hello'"):
        nitro_cli.enclaves(world, "any")


def test_an_enclave_that_is_gone_already_is_ended() -> None:
    gone = Finished(11, "", printed("E11"))
    world = Scripted(fail={"nitro-cli terminate-enclave": gone})
    nitro_cli.terminate(world, "i-1-enc2", "any")
    world.enclaves["i-1-enc2"] = "app"
    with pytest.raises(nitro_cli.NitroCliFailed, match="E11"):
        nitro_cli.terminate(world, "i-1-enc2", "any")
