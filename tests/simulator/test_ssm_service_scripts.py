"""AWS-RunShellScript runs scripts as the agent does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulator.ssm_world import World, world


@pytest.fixture(name="ssm", scope="module")
def _ssm() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.mark.parametrize("code", [1, 2, 124])
def test_an_exit_code_is_the_response_code(ssm: World, code: int) -> None:
    ended = ssm.run("echo out", f"exit {code}")
    assert (ended["Status"], ended["StatusDetails"], ended["ResponseCode"]) == (
        *("Failed", "Failed"),
        code,
    )
    assert ended["StandardOutputContent"] == "out\n"
    assert ended["StandardErrorContent"] == f"failed to run commands: exit status {code}"


def test_a_script_that_succeeds(ssm: World) -> None:
    ended = ssm.run("echo one", "echo two >&2")
    assert (ended["Status"], ended["ResponseCode"]) == ("Success", 0)
    assert (ended["StandardOutputContent"], ended["StandardErrorContent"]) == ("one\n", "two\n")
