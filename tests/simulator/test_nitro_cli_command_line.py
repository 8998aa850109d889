"""How nitro-cli's words are read: as the real parser of them does, whose answers were recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.nitro_cli.arguments import COMMANDS, HELP_COMMAND
from simulator.nitro_cli.command_line import read
from simulator.nitro_cli.usage import Shown, UsageError
from tests.simulator.nitro_cli_world import World

_RECORDED = json.loads((Path(__file__).parent / "clap_transcripts.json").read_text())
TRANSCRIPTS = _RECORDED["transcripts"]


def answer(words: list[str]) -> dict[str, Any]:
    try:
        given = read(words, "1.4.4")
    except Shown as shown:
        return {"exit_code": 0, "stdout": f"{shown}\n", "stderr": ""}
    except UsageError as error:
        return {"exit_code": 2, "stdout": "", "stderr": f"{error}\n"}
    options = {name: list(values) for name, values in given.options.items()}
    return {"command": given.command, "options": options}


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda one: " ".join(one["words"]) or "-")
def test_words_are_read_as_clap_reads_them(transcript: dict[str, Any]) -> None:
    assert {"words": transcript["words"]} | answer(transcript["words"]) == transcript


def test_every_command_and_option_is_in_a_transcript() -> None:
    shown = "".join(one.get("stdout", "") for one in TRANSCRIPTS)
    for command in COMMANDS:
        assert f"Usage: nitro-cli {command.name}" in shown
        for option in command.options:
            assert option.shown in shown
    assert f"Usage: nitro-cli {HELP_COMMAND.name}" in shown


def test_words_that_are_not_utf_8(machine: World) -> None:
    no_text = b"\xff".decode(errors="surrogateescape")
    finished = machine.run("describe-eif", "--eif-path", no_text)
    assert finished.exit_code == 2
    assert finished.stderr.startswith("error: invalid UTF-8 was detected in one or more arguments")
    assert "unrecognized subcommand '\ufffd'" in machine.run(no_text).stderr
