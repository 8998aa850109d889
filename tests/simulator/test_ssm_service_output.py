"""What is shown of a script's output: 24,000, 8,000 and 2,500, and how cuts are marked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.systems_manager.output import Stream, as_text, combined
from tests.simulator.ssm_world import World, world

CUT = "--output truncated--"
LISTED_CUT = "\n---Output truncated---"
LISTED_ERROR_CUT = "\n---Error truncated----"
ERROR = "\n----------ERROR-------\n"


@pytest.fixture(name="ssm", scope="module")
def _ssm() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.mark.parametrize("length", [2_499, 2_500, 2_501, 23_999])
def test_less_than_24000_is_whole(ssm: World, length: int) -> None:
    ended = ssm.run(f"head -c {length} /dev/zero | tr '\\0' x")
    assert ended["StandardOutputContent"] == "x" * length


@pytest.mark.parametrize("length", [24_000, 24_001, 100_000])
def test_24000_and_more_end_with_the_agents_mark(ssm: World, length: int) -> None:
    """Just 24,000 as well: StringPrefix keeps what is shorter than the limit."""
    ended = ssm.run(f"head -c {length} /dev/zero | tr '\\0' x")
    assert ended["StandardOutputContent"] == "x" * 23_980 + CUT
    assert (ended["Status"], ended["ResponseCode"]) == ("Success", 0)


@pytest.mark.parametrize("length", [7_999, 8_000, 8_001, 30_000])
def test_standard_error_is_cut_at_8000_without_a_mark(ssm: World, length: int) -> None:
    ended = ssm.run(f"head -c {length} /dev/zero | tr '\\0' e >&2")
    assert ended["StandardErrorContent"] == "e" * min(length, 8_000)


def test_the_reason_of_a_failure_is_lost_in_long_errors(ssm: World) -> None:
    ended = ssm.run("head -c 8000 /dev/zero | tr '\\0' e >&2", "exit 3")
    assert ended["ResponseCode"] == 3
    assert "failed to run commands" not in ended["StandardErrorContent"]


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (2_499, "x" * 2_499),
        (2_500, "x" * 2_477 + LISTED_CUT),
        (2_501, "x" * 2_477 + LISTED_CUT),
        (24_001, "x" * 2_477 + LISTED_CUT),
    ],
)
def test_the_listed_output_has_2500(ssm: World, length: int, shown: str) -> None:
    command = ssm.send(f"head -c {length} /dev/zero | tr '\\0' x")
    ssm.wait(command)
    assert ssm.plugin(command)["Output"] == shown


def test_both_streams_share_the_listed_output(ssm: World) -> None:
    command = ssm.send("echo out", "echo error >&2", "exit 3")
    ssm.wait(command)
    shown = ssm.plugin(command)
    assert shown["Output"] == f"out\n{ERROR}error\nfailed to run commands: exit status 3"
    assert (shown["Name"], shown["Status"], shown["ResponseCode"]) == (
        *("aws:runShellScript", "Failed"),
        3,
    )


def streams(stdout: int, stderr: int) -> str:
    return as_text(combined(Stream().plus(b"o" * stdout), Stream().plus(b"e" * stderr)))


@pytest.mark.parametrize(
    ("stdout", "stderr", "shown"),
    [
        (0, 0, ""),
        (0, 10, ERROR + "e" * 10),
        (1_000, 1_475, "o" * 1_000 + ERROR + "e" * 1_475),
        # One byte more, and the longer is cut.
        (1_000, 1_477, "o" * 1_000 + ERROR + "e" * 1_453 + LISTED_ERROR_CUT),
        (2_000, 477, "o" * 1_976 + LISTED_CUT + ERROR + "e" * 477),
        (5_000, 5_000, "o" * 1_215 + LISTED_CUT + ERROR + "e" * 1_215 + LISTED_ERROR_CUT),
    ],
)
def test_the_longer_stream_is_cut(stdout: int, stderr: int, shown: str) -> None:
    assert streams(stdout, stderr) == shown
    assert len(shown) <= 2_500


def test_bytes_count_and_not_letters(ssm: World) -> None:
    """Two bytes a letter: 12,000 of them are 24,000, and a cut may go through one."""
    command = ssm.send("yes ü | head -n 12000 | tr -d '\\n'")
    shown = ssm.wait(command)["StandardOutputContent"]
    assert shown == "ü" * 11_990 + CUT
    assert ssm.plugin(command)["Output"] == "ü" * 1_238 + "\N{REPLACEMENT CHARACTER}" + LISTED_CUT


def test_bytes_that_are_no_text_become_replacement_characters(ssm: World) -> None:
    """One for each byte, as Go's JSON has them: three for half an emoji."""
    ended = ssm.run(r"printf 'a\377b\360\237\224c\0d'")
    unknown = "\N{REPLACEMENT CHARACTER}"
    assert ended["StandardOutputContent"] == f"a{unknown}b{unknown * 3}c\0d"


def test_no_output_is_shown_while_a_script_runs(ssm: World) -> None:
    command = ssm.send("echo early", "sleep 60")
    assert ssm.printed(command) == "early\n"
    running = ssm.wait(command, "InProgress")
    assert (running["ResponseCode"], running["StandardOutputContent"]) == (-1, "")
    assert running["ExecutionEndDateTime"] == ""
    assert ssm.plugin(command)["Output"] == ""
    ssm.client.cancel_command(CommandId=command)
    assert ssm.wait(command)["StandardOutputContent"] == "early\n"
