"""The agent reports of scripts what the real one's own code reports of them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.ssm_world import World, world

RECORDED = json.loads((Path(__file__).parent / "ssm_agent_transcripts.json").read_text())
SCRIPT = re.compile(r"\S*/_script\.sh")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="signals are numbered as on Linux"),
    pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here, which sh was"),
]


@pytest.fixture(name="ssm", scope="module")
def _ssm() -> Iterator[World]:
    with world(second=0.4) as made:
        yield made


def shortened(text: str) -> str | dict[str, Any]:
    text = SCRIPT.sub("SCRIPT", text)
    if len(text) <= 160:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"length": len(text), "sha256": digest, "end": text[-40:]}


@pytest.mark.parametrize("script", RECORDED["scripts"], ids=lambda script: script["name"])
def test_a_reply_is_the_real_agents(ssm: World, script: Mapping[str, Any]) -> None:
    parameters = {
        "workingDirectory": [script.get("folder", "")],
        "executionTimeout": [script.get("timeout", "3600").partition(".")[0]],
    }
    command = ssm.send(*script["commands"], Parameters=parameters)
    ended = ssm.wait(command)
    assert (ended["Status"], ended["ResponseCode"]) == (script["status"], script["code"])
    assert shortened(ended["StandardOutputContent"]) == script["stdout"]
    assert shortened(ssm.plugin(command)["Output"]) == script["output"]
    errors = ended["StandardErrorContent"]
    if len(errors) == 8_000:
        # The service's own limit, which the agent does not know.
        assert isinstance(script["stderr"], dict)
        assert script["stderr"]["length"] >= 8_000
    else:
        assert shortened(errors) == script["stderr"]
