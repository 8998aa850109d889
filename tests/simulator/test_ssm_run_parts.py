"""Any bytes, in chunks, in any order, some lost and some twice: put together by a real `sh`."""

from __future__ import annotations

import json
import random
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.ssm_script import answers, plan, shell
from simulator.ssm_script.answers import BadAnswer
from simulator.ssm_script.errors import Ended, RunFailed
from simulator.ssm_script.limits import (
    COMMAND_CHARACTERS,
    LINE_CHARACTERS,
    OUTPUT_BYTES,
    SCRIPT_BYTES,
)
from simulator.ssm_script.payload import Payload, Script, pack
from simulator.ssm_script.plan import Plan
from tests.simulator.ssm_run_world import BARE, INSTANCE

linux = pytest.mark.skipif(sys.platform != "linux", reason="the instance's shell is Linux's")
LINE = 64 * 1024
"""What the document may have, with its parameters."""


def sh(commands: Sequence[str], *, strict: bool = False) -> str:
    """What they print, run as the agent runs them; `strict` as if its shell had set -u."""
    with TemporaryDirectory() as folder:
        script = Path(folder, "_script.sh")
        script.write_text("\n".join([*(["set -u"] if strict else []), *commands]) + "\n")
        script.chmod(0o700)
        finished = subprocess.run(
            ["sh", "-c", str(script)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=BARE,
            check=False,
        )
    assert finished.stderr == ""
    return finished.stdout


contents = st.one_of(
    st.binary(min_size=1, max_size=200),
    st.text(min_size=1).map(lambda text: text.encode(errors="replace")),
    st.builds(
        lambda seed, size: random.Random(seed).randbytes(size),  # noqa: S311
        st.integers(0, 1000),
        st.integers(1, 20_000),
    ),
).filter(lambda content: content.strip() and not content.split(b"\n", 1)[0].endswith(b"\r"))


@linux
@settings(max_examples=25, deadline=None)
@given(content=contents, data=st.data())
def test_any_bytes_in_any_order_are_put_together(content: bytes, data: st.DataObject) -> None:
    script = Script(content, shell=("cat",))  # noqa: S604  # It shows what arrived.
    payload = pack(script)
    numbers = [part.number for part in payload.parts]
    lost = data.draw(st.sets(st.sampled_from(numbers)), label="lost")
    again = data.draw(st.lists(st.sampled_from(numbers), max_size=3), label="again")
    order = data.draw(st.permutations([*numbers, *again]), label="order")
    folder = shell.FOLDER + secrets.token_hex(16)
    try:
        came = [payload.parts[number - 1] for number in order if number not in lost]
        assert sh(shell.bring(folder, came), strict=True) == "DONE rc=0\n"
        if lost:
            told = answers.read(sh(_run(folder, payload), strict=True))
            assert list(told.problem) == ["missing", *map(str, sorted(lost))]
            assert sh(shell.bring(folder, [payload.parts[n - 1] for n in lost])) == "DONE rc=0\n"
        report = answers.report(answers.read(sh(_run(folder, payload), strict=True)))
        pieces = [report.first]
        while len("".join(pieces)) < report.characters:
            number = len(pieces)
            answer = answers.read(sh(shell.fetch(folder, number), strict=True))
            pieces.append(answers.piece(answer, number))
        assert answers.output(report, "".join(pieces)) == (content, b"")
        assert sh(shell.clean(folder, kill=True), strict=True) == "DONE rc=0\n"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: str, payload: Payload) -> list[str]:
    return shell.run(folder, payload, "script", [], OUTPUT_BYTES)


@pytest.mark.parametrize("size", [1, 10_965, 200_000, 1_000_000, SCRIPT_BYTES])
def test_every_command_stays_below_the_limit(size: int) -> None:
    content = random.Random(size).randbytes(size - 1) + b"x"  # noqa: S311
    made = Plan(Script(content), INSTANCE, "0" * 32, 172_800)
    requests = [*made.bring(), made.run(), made.report(), made.fetch(10**6), made.clean(kill=True)]
    for request in requests:
        assert plan.characters(request["Parameters"]) <= COMMAND_CHARACTERS < LINE * 3 / 4 + 1
        assert len(request["Comment"]) <= 100
        for line in request["Parameters"]["commands"]:
            assert len(line) <= LINE_CHARACTERS
            assert "'" not in line
            assert "{{" not in line
            assert line.isascii()
            assert "\n" not in line
    brought = [
        line.split()[1]
        for request in [*made.bring(), made.run()]
        for line in request["Parameters"]["commands"]
        if line.startswith("put ")
    ]
    assert brought == [str(part.number) for part in made.payload.parts]


def test_nothing_of_the_users_is_outside_of_base64() -> None:
    script = Script(
        b"echo {{ssm:secret}}",
        name="it's {{a}} $(x).sh",
        arguments=["{{ssm:argument}}"],
        environment={"NAME": "{{ssm:value}}"},
    )
    made = Plan(script, INSTANCE, "0" * 32, 60)
    sent = json.dumps([made.run(), made.clean()])
    assert "ssm:" not in sent
    assert made.run()["Comment"] == "attested-kms ssm run it_s___a_____x_.sh: run"


@pytest.mark.parametrize(
    ("first", "interpreter"),
    [
        (b"echo", ["bash"]),
        (b"#!/bin/sh", ["/bin/sh"]),
        (b"#! /bin/bash -eu", ["/bin/bash", "-eu"]),
        (b"#!/usr/bin/env -S python3 -I", ["/usr/bin/env", "-S python3 -I"]),
        (b"#!", ["bash"]),
        (b"# !/bin/sh", ["bash"]),
    ],
)
def test_the_first_line_names_the_interpreter(first: bytes, interpreter: list[str]) -> None:
    script = Script(first + b"\necho")
    assert list(script.interpreter) == interpreter
    chosen = Script(first + b"\necho", shell=("dash", "-x"))  # noqa: S604  # No subprocess's.
    assert list(chosen.interpreter) == ["dash", "-x"]


@pytest.mark.parametrize(
    ("content", "environment", "words"),
    [
        (b"", {}, "is empty"),
        (b" \n\t\n", {}, "is empty"),
        (b"#!/bin/bash\r\necho\r\n", {}, "Windows line ends"),
        (b"x" * (SCRIPT_BYTES + 1), {}, "8,388,608 are the most"),
        (b"echo", {"1A": "secret"}, r"--env 1A=\.\.\.: "),
        (b"echo", {"A-B": "secret"}, r"--env A-B=\.\.\.: "),
    ],
)
def test_what_cannot_be_run(content: bytes, environment: dict[str, str], words: str) -> None:
    with pytest.raises(RunFailed, match=words) as failure:
        Script(content, environment=environment)
    assert failure.value.ended is Ended.USAGE
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    "output",
    ["", "\n", "DONE", "DONE rc=0\nmore\n", "stdout 5 5\nstderr 0", "--output truncated--"],
)
def test_an_answer_without_its_end_is_not_believed(output: str) -> None:
    with pytest.raises(BadAnswer):
        answers.read(output)


@pytest.mark.parametrize(
    "output",
    [
        "DONE rc=0",
        "stdout 1\nDONE rc=0",
        "stdout 1 x\nstderr 0 0\nkept 1\nsha256 0\nsent 0\ndata \nDONE rc=0",
        "PROBLEM gone\nDONE rc=3",
    ],
)
def test_a_report_that_is_none(output: str) -> None:
    with pytest.raises(BadAnswer):
        answers.report(answers.read(output))


@pytest.mark.parametrize("characters", ["", "A", "AAAA", "H4sIAAAAAAAAAwMAAAAAAAAAAAA=", "%"])
def test_output_that_is_damaged(characters: str) -> None:
    stream = answers.Stream(1, 1)
    told = answers.Report("0", stream, stream, True, "0" * 64, len(characters), characters)
    with pytest.raises(BadAnswer):
        answers.output(told, characters)
