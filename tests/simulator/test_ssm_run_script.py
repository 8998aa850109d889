"""The client of `ssm run` with scripts of every kind, run by real shells on this machine."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.ssm_script.errors import Ended
from simulator.ssm_script.limits import SLICE_CHARACTERS
from simulator.ssm_script.payload import Script
from simulator.ssm_script.plan import Request
from tests.simulator.ssm_run_world import Agent, World, agent, client_error, filler

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the instance's shell is Linux's")


@pytest.fixture(name="world", params=["dash", "bash"])
def _world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """With `sh` as on Debian, and as on Amazon Linux, where it is bash."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"there is no {request.param}")
    (tmp_path / "bin").mkdir()
    sh = tmp_path / "bin" / "sh"
    sh.symlink_to(program)  # By its name, bash knows that it is to be a plain sh.
    with agent(tmp_path, sh=str(sh)) as one:
        world = World(one, secrets.token_hex(16))
        yield world
        for path in world.left():
            shutil.rmtree(path)


@pytest.mark.parametrize(
    ("size", "commands"), [(20, 2), (10_965, 2), (200_000, 6), (1_000_000, 23)]
)
def test_a_script_of_any_length_arrives(world: World, size: int, commands: int) -> None:
    content = b'echo "$0 $# $1"\n' + filler(size) + b"exit 3\n"
    result = world.run(Script(content, "deploy it.sh", arguments=["it's\n{{ssm:x}}"]))
    assert result.stdout.decode() == f"{world.folder}/run/deploy_it.sh 1 it's\n{{{{ssm:x}}}}\n"
    assert (result.ended, result.exit_code, result.message) == (Ended.SCRIPT, 3, "")
    assert len(result.commands) == commands
    assert world.left() == []


@pytest.mark.parametrize("size", [0, 1, 2_499, 2_501, 24_001, 200_000])
def test_output_of_any_length_comes_back(world: World, size: int) -> None:
    result = world.run(b"head -c %d /dev/zero | tr '\\0' x; echo oh >&2\n" % size)
    assert (result.stdout, result.stderr, result.exit_code) == (b"x" * size, b"oh\n", 0)


def test_bytes_that_are_no_text_come_back(world: World, tmp_path: Path) -> None:
    content = random.Random(5).randbytes(120_000)  # noqa: S311
    (tmp_path / "bytes").write_bytes(content)
    script = f"cat {tmp_path}/bytes; tail -c 70000 {tmp_path}/bytes >&2; exit 255"
    result = world.run(script.encode())
    assert result.stdout == content
    assert result.stderr == content[-70_000:]
    assert result.exit_code == 255
    # The report has the first slice.
    packed = (190_000 * 4) // 3
    assert len(result.commands) >= 1 + packed // SLICE_CHARACTERS + 1


@pytest.mark.parametrize("code", [0, 1, 2, 124, 137, 168, 169, 194, 255])
def test_the_exit_code_is_the_scripts(world: World, code: int) -> None:
    result = world.run(b"exit %d" % code)
    assert (result.ended, result.exit_code, result.message) == (Ended.SCRIPT, code, "")
    # 194 would restart a real instance, 137 would count as a timeout, 168 as a success.
    process = world.agent.commands["command-1"].process
    assert process.returncode == (1 if code in (137, 168, 169, 194) else code)


ODD: dict[str, tuple[bytes, int, bytes]] = {
    "closes its output": (b"echo before; exec >&- 2>&-; echo after; exit 5", 5, b"before\n"),
    "kills its own shell": (b"echo before; kill -9 $$; echo after", 137, b"before\n"),
    "is terminated with its group": (b"echo before; kill 0; echo after", 143, b"before\n"),
    "reads its input": (b"cat; read -r line; echo $?", 0, b"1\n"),
    "executes another": (b"echo before; exec sh -c 'echo inside; exit 9'", 9, b"before\ninside\n"),
    "stops at an error": (b"set -euo pipefail; echo before; false; echo after", 1, b"before\n"),
    "wants an unset variable": (b"set -u; echo before; echo $nothing", 1, b"before\n"),
    "has no HOME": (b'echo "${HOME-none}"; exit 0', 0, b"none\n"),
    "cannot be parsed": (b"echo before\nif", 2, b"before\n"),
    "calls what is not there": (b"nitro-cli-of-nobody", 127, b""),
    "has no line end": (b"printf x", 0, b"x"),
    "changes its folder": (b"cd /; rm -f stdout; echo here", 0, b"here\n"),
    "names another shell": (b"#!/bin/sh -e\necho $-; false\necho after", 1, b"e\n"),
    "names a program": (
        b"#!/usr/bin/env cat\nfor itself\n",
        0,
        b"#!/usr/bin/env cat\nfor itself\n",
    ),
    "names what is not there": (b"#!/no/such/shell\n", 127, b""),
    "ends like our own report": (b"echo DONE rc=7; echo PROBLEM missing 1", 0, b""),
}


@pytest.mark.parametrize("name", ODD)
def test_a_script_that(world: World, name: str) -> None:
    script, code, stdout = ODD[name]
    result = world.run(script)
    assert (result.ended, result.exit_code) == (Ended.SCRIPT, code), result
    assert stdout in result.stdout
    assert b"after" not in result.stdout
    assert world.left() == []


def test_a_script_that_opens_its_outputs_again(world: World) -> None:
    """With files in the place of pipes, each of these would cut off what came before."""
    script = (
        b"echo one; echo two > /dev/stdout; echo a >&2; echo b > /dev/stderr; echo c >&2\n"
        b"echo three | tee /dev/stderr; exit 2\n"
    )
    result = world.run(script)
    assert (result.stdout, result.stderr) == (b"one\ntwo\nthree\n", b"a\nb\nc\nthree\n")
    assert (result.ended, result.exit_code) == (Ended.SCRIPT, 2)


def test_output_that_nobody_reads_any_more_is_said_to_be_lost(world: World) -> None:
    script = b'echo before; read -r reader _ < "${0%/run/*}/o.pid"; kill -9 "$reader"; exit 6'
    result = world.run(script)
    assert (result.ended, result.script_exit_code) == (Ended.OUTCOME_LOST, 6)
    assert "Not all that it wrote could be kept" in result.message


def test_a_process_in_the_background_does_not_hold_it_up(world: World) -> None:
    result = world.run(b"sleep 1000 & echo $!")
    assert result.ended is Ended.SCRIPT
    assert len(result.commands) == 2
    os.kill(int(result.stdout), signal.SIGKILL)  # It was left alone.


def test_arguments_environment_and_shell(world: World) -> None:
    script = Script(  # noqa: S604  # The shell is no subprocess's.
        b'echo "$A|$B|$1|$2|$-"',
        shell=("bash", "-u"),
        arguments=["", '$(no) `no` \\ "'],
        environment={"A": "it's {{x}}", "B": "two\nlines"},
    )
    result = world.run(script)
    said = result.stdout.decode().rpartition("|")
    assert said[0] == "it's {{x}}|two\nlines||$(no) `no` \\ \""
    assert "u" in said[2]


def test_a_timeout_keeps_what_was_written(world: World) -> None:
    result = world.run(b"echo before; echo oh >&2; sleep 1000", timeout=1)
    assert (result.ended, result.exit_code) == (Ended.TIMED_OUT, 124)
    assert (result.stdout, result.stderr) == (b"before\n", b"oh\n")
    assert "longer than 1 seconds (executionTimeout)" in result.message
    assert "--timeout" in result.message
    assert world.left() == []


def test_a_script_that_kills_what_waits_for_it(world: World) -> None:
    result = world.run(b"echo before; kill -9 0")
    assert (result.ended, result.exit_code) == (Ended.OUTCOME_LOST, 250)
    assert result.script_exit_code is None
    assert result.stdout == b"before\n"
    assert "kill -9 0" in result.message
    assert world.left() == []


def test_a_script_that_outlives_what_waited_for_it(world: World) -> None:
    result = world.run(b"echo before; kill -9 $PPID; sleep 1000")
    assert (result.ended, result.exit_code) == (Ended.OUTCOME_LOST, 250)
    assert result.stdout == b"before\n"
    assert "still runs" in result.message
    assert str(world.folder) in result.message
    assert world.folder.is_dir()


def test_too_much_output_is_left_there(world: World) -> None:
    script = b"head -c 100000 /dev/zero; head -c 100 /dev/zero >&2; exit 6"
    result = world.run(script, output_bytes=1000)
    assert (result.ended, result.exit_code, result.script_exit_code) == (
        Ended.OUTCOME_LOST,
        250,
        6,
    )
    assert (len(result.stdout), len(result.stderr)) == (900, 100)
    assert "wrote 100,100 bytes, more than --max-output 1,000" in result.message
    assert (world.folder / "stdout").stat().st_size == 100_000
    assert result.folder == str(world.folder)


def test_files_can_be_kept(world: World) -> None:
    result = world.run(b"echo hello", clean=False)
    assert (result.ended, result.exit_code) == (Ended.SCRIPT, 0)
    assert result.message == f"Its files are in {world.folder} on the instance."
    assert (world.folder / "run" / "script").read_bytes() == b"echo hello"


BIG = b"echo ran; exit 4\n" + filler(300_000)


def without(*which: int) -> Callable[[int, Request], Request]:
    """Commands that lose the first of their parts on the way."""

    def lose(number: int, request: Request) -> Request:
        lines = list(request["Parameters"]["commands"])
        parts = [line for line in lines if line.startswith("put ")]
        if number not in which or not parts:
            return request
        lines.remove(parts[0])
        return {**request, "Parameters": {**request["Parameters"], "commands": lines}}

    return lose


def test_lost_parts_are_sent_again(world: World) -> None:
    world.agent.before_send = without(1, 3)
    result = world.run(BIG)
    assert (result.ended, result.exit_code, result.stdout) == (Ended.SCRIPT, 4, b"ran\n")
    kinds = [comment.split()[0] for comment in world.agent.comments]
    assert kinds == ["part"] * (kinds.index("run")) + ["run", "part", "run", "clean"]


def test_a_damaged_part_is_sent_again(world: World) -> None:
    def damage(number: int, request: Request) -> Request:
        if number != 2:
            return request
        lines = [
            line[:-9] + "AAAAAAAAA" if line.startswith("put ") else line
            for line in request["Parameters"]["commands"]
        ]
        return {**request, "Parameters": {**request["Parameters"], "commands": lines}}

    world.agent.before_send = damage
    result = world.run(BIG)
    assert (result.ended, result.exit_code, result.stdout) == (Ended.SCRIPT, 4, b"ran\n")
    assert world.agent.comments.count("run") == 2


def test_parts_that_never_arrive_are_given_up(world: World) -> None:
    world.agent.before_send = without(*range(100))
    result = world.run(b"echo ran")
    assert (result.ended, result.exit_code) == (Ended.NOT_STARTED, 251)
    assert "sent 3 times: 1 of 1" in result.message
    assert result.stdout == b""
    assert world.left() == []


def test_a_command_that_arrives_twice_runs_the_script_once(world: World, tmp_path: Path) -> None:
    """SendCommand has no token: what boto3 tries again may have arrived before."""
    os.mkfifo(tmp_path / "go")
    script = f"echo once >> {tmp_path}/count; read -r x < {tmp_path}/go; exit 8".encode()
    twin = world.agent.send_command(**world.plan(script).run())["Command"]["CommandId"]
    go = (tmp_path / "go").open("wb", buffering=0)  # Opens when the script reads.

    def begun(_number: int, answer: dict[str, Any]) -> dict[str, Any]:
        if not go.closed:
            go.write(b"on\n")
            go.close()
        return answer

    world.agent.after = begun
    result = world.run(script)
    assert (result.ended, result.exit_code) == (Ended.SCRIPT, 8)
    assert (tmp_path / "count").read_text() == "once\n"
    assert world.agent.commands[twin].process.wait() == 8


def test_a_command_that_a_restart_repeats_gives_up(world: World, tmp_path: Path) -> None:
    """The process of the first is gone, and nothing reports any more."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "sleep").symlink_to("/bin/true")
    path = f"{tmp_path}/tools:{world.agent.environment['PATH']}"
    world.agent.environment = {"PATH": path}
    (world.folder / "run").mkdir(mode=0o700, parents=True)
    (world.folder / "stdout").write_text("before\n")
    (world.folder / "pid").write_text("1 2\n")
    result = world.run(b"echo again")
    assert (result.ended, result.script_exit_code) == (Ended.OUTCOME_LOST, None)
    assert result.stdout == b"before\n"
    assert "by a restart" in result.message


def test_cut_answers_are_noticed(world: World) -> None:
    """The report is asked for again, and each slice; the output is whole."""
    cut: set[int] = set()

    def shorten(number: int, answer: dict[str, Any]) -> dict[str, Any]:
        output = answer.get("StandardOutputContent", "")
        if len(output) < 20_000 or len(cut) > 3 or number % 2 == 0:
            return answer
        cut.add(number)
        return {**answer, "StandardOutputContent": output[:2_500]}

    world.agent.after = shorten
    result = world.run(b"head -c 100000 /dev/urandom | base64 | tee /dev/stderr")
    assert (result.ended, result.exit_code) == (Ended.SCRIPT, 0)
    assert len(result.stdout) > 130_000
    assert result.stdout == result.stderr
    assert cut


def test_output_that_cannot_be_fetched_is_said(world: World) -> None:
    def shorten(_number: int, answer: dict[str, Any]) -> dict[str, Any]:
        output = answer.get("StandardOutputContent", "")
        return {**answer, "StandardOutputContent": output[:2_500]}

    world.agent.after = shorten
    result = world.run(b"head -c 9000 /dev/urandom; exit 6")
    assert (result.ended, result.exit_code) == (Ended.OUTCOME_LOST, 250)
    assert str(world.folder) in result.message
    assert (world.folder / "rc").read_text() == "6\n"


def test_a_folder_of_somebody_else_is_refused(world: World, tmp_path: Path) -> None:
    world.folder.symlink_to(tmp_path)
    try:
        result = world.run(b"echo ran")
    finally:
        world.folder.unlink()
    assert (result.ended, result.exit_code) == (Ended.NOT_STARTED, 251)
    assert f"{world.folder} cannot be used" in result.message


def test_an_instance_without_gzip(world: World, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("mkdir", "base64", "sha256sum", "rm"):
        (tools / name).symlink_to(str(shutil.which(name)))
    world.agent.environment = {"PATH": str(tools)}
    result = world.run(b"echo ran")
    assert result.ended is Ended.NOT_STARTED
    assert "the instance has no gzip" in result.message


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_and_cleans(world: World, number: signal.Signals) -> None:
    def interrupt(which: int, answer: dict[str, Any]) -> dict[str, Any]:
        if which == 1 and not world.agent.cancelled:
            raise KeyboardInterrupt if number is signal.SIGINT else SystemExit(143)
        return answer

    world.agent.after = interrupt
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        world.run(b"sleep 1000")
    assert world.agent.cancelled == ["command-1"]
    assert world.agent.comments == ["run", "clean"]
    assert world.left() == []
    assert world.said[-1] == "cancelled, and its files are removed"


def test_a_second_interrupt_leaves_it_as_it_is(world: World) -> None:
    def interrupt(_number: int, _answer: dict[str, Any]) -> dict[str, Any]:
        raise KeyboardInterrupt

    world.agent.after = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.run(b"sleep 1000")
    assert world.said[-1] == (f"left as it is: {world.folder} on the instance, commands command-1")


def test_a_script_that_removes_its_own_files(world: World) -> None:
    result = world.run(b'rm -r "${0%/run/*}"; exit 6')
    assert (result.ended, result.exit_code) == (Ended.OUTCOME_LOST, 250)
    assert "not known" in result.message


def test_somebody_else_cancels(world: World) -> None:
    def cancel(number: int, answer: dict[str, Any]) -> dict[str, Any]:
        if number == 1 and answer["Status"] == "InProgress":
            world.agent.cancel_command(CommandId="command-1")
        return answer

    world.agent.after = cancel
    result = world.run(b"sleep 1000")
    assert (result.ended, result.exit_code) == (Ended.CANCELLED, 252)
    assert result.message == "Somebody cancelled command command-1 (Cancelled)."
    assert world.left() == []


def test_the_service_may_not_know_a_command_yet(world: World) -> None:
    seen: list[int] = []

    def later(number: int, answer: dict[str, Any]) -> dict[str, Any]:
        seen.append(number)
        if seen.count(number) < 3:
            code = "InvocationDoesNotExist" if seen.count(number) == 1 else "ThrottlingException"
            raise client_error("GetCommandInvocation", code)
        return answer

    world.agent.after = later
    service = world.service
    service.sleep = lambda _seconds: None
    assert service.execute(world.plan(b"exit 7").run()).status == "Failed"
    assert isinstance(world.agent, Agent)
