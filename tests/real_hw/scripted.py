"""A parent instance and an AWS that exist in a dictionary, for tests of the hardware target."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from real_hw.actions import Call, CallRefused, Command, Question, Started
from real_hw.planning import PlannedActions, PlannedProcess
from real_hw.settings import Settings
from scenarios.target import Finished, Members

Hook = Callable[[str], None]
"""Takes the name of an action; what it raises, the action raises."""


def settings(folder: Path = Path("/run-folder")) -> Settings:
    return Settings(run_id="attested-kms-1234", region="eu-west-1", folder=folder)


class Process(PlannedProcess):
    def __init__(self, world: Scripted, name: str) -> None:
        super().__init__(world.told.append)
        object.__setattr__(self, "world", world)
        object.__setattr__(self, "name", name)

    world: Scripted
    name: str

    def ask(self, question: Question) -> Mapping[str, Any]:
        self.world.enter(f"ask {question.why}")
        return question.stand_in

    def end(self) -> None:
        self.world.processes.discard(self.name)


class Scripted(PlannedActions):
    """Answers with stand-ins, and keeps what there would be. `before` and `after` see each action.

    `fail` maps the beginning of an action to what is raised or answered in its place.
    """

    def __init__(
        self, *, before: Hook | None = None, after: Hook | None = None, fail: Any = None
    ) -> None:
        self.told: list[str] = []
        super().__init__(self.told.append)
        self.done: list[str] = []
        self.commands: list[Command] = []
        self.calls: list[Call] = []
        self.enclaves: dict[str, str] = {}
        self.images: set[str] = set()
        self.keys: dict[str, str] = {}
        self.processes: set[str] = set()
        self.folders: set[Path] = set()
        self.ledger: list[dict[str, Any]] = []
        self.waited = 0.0
        self._before, self._after = before, after
        self.fail: dict[str, Any] = fail or {}

    @property
    def left(self) -> list[str]:
        """What should not be there any more."""
        keys = [f"{key} {state}" for key, state in self.keys.items() if state != "PendingDeletion"]
        folders = [str(folder) for folder in self.folders if "work" in folder.parts]
        return [*self.enclaves, *self.images, *keys, *self.processes, *folders]

    def enter(self, name: str) -> None:
        self.done.append(name)
        if self._before is not None:
            self._before(name)

    def leave(self, name: str) -> None:
        if self._after is not None:
            self._after(name)

    def _instead(self, name: str) -> Any:
        return next((told for start, told in self.fail.items() if name.startswith(start)), None)

    def run(self, command: Command) -> Finished:
        words = command.words
        name = " ".join(words[:2]) if words[0] == "nitro-cli" else " ".join(words[:3])
        self.commands.append(command)
        self.enter(name)
        instead = self._instead(name)
        if isinstance(instead, Exception):
            raise instead
        finished = instead or self._run(command)
        self.leave(name)
        return finished

    def _run(self, command: Command) -> Finished:
        match command.words:
            case ("nitro-cli", "run-enclave", *rest):
                enclave_id = f"i-1-enc{len(self.done)}"
                has_name = "--enclave-name" in rest
                name = rest[rest.index("--enclave-name") + 1] if has_name else "app"
                self.enclaves[enclave_id] = name
                return _printed({"EnclaveID": enclave_id, "EnclaveCID": 16, "EnclaveName": name})
            case ("nitro-cli", "describe-enclaves"):
                return _printed(
                    [{"EnclaveID": one, "EnclaveName": name} for one, name in self.enclaves.items()]
                )
            case ("nitro-cli", "terminate-enclave", "--enclave-id", enclave_id):
                self.enclaves.pop(enclave_id, None)
            case ("docker", "build", *_, "--tag", uri, _):
                self.images.add(uri)
            case ("docker", "image", "rm", "--force", uri):
                self.images.discard(uri)
        return command.stand_in

    def call(self, call: Call) -> Members:
        name = f"{call.service} {call.operation}"
        self.calls.append(call)
        self.enter(name)
        instead = self._instead(name)
        if isinstance(instead, Exception):
            raise instead
        answer = instead or self._call(call)
        self.leave(name)
        return dict(answer)

    def _call(self, call: Call) -> Members:
        key = str(call.members.get("KeyId", "")).rpartition("/")[2]
        match call.operation:
            case "CreateKey":
                key = f"key-{len(self.keys) + 1}"
                self.keys[key] = "Enabled"
                return {"KeyMetadata": {"Arn": _arn(key)}}
            case "DescribeKey":
                return {"KeyMetadata": {"KeyState": self.keys[key]}}
            case "DisableKey":
                self.keys[key] = "Disabled"
            case "ScheduleKeyDeletion":
                if self.keys[key] == "PendingDeletion":
                    raise CallRefused(
                        "KMSInvalidStateException", f"{key} is pending deletion.", 400
                    )
                self.keys[key] = "PendingDeletion"
            case "GetResources":
                return {"ResourceTagMappingList": [{"ResourceARN": _arn(one)} for one in self.keys]}
        return call.stand_in

    def start(self, started: Started) -> Process:
        words = started.command.words
        name = words[words.index("-m") + 1] if "-m" in words else words[1]
        self.enter(f"start {name}")
        self.processes.add(name)
        self.leave(f"start {name}")
        return Process(self, name)

    def make_folder(self, path: Path, _why: str) -> None:
        self.enter(f"make {path.name}")
        self.folders.add(path)
        self.leave(f"make {path.name}")

    def remove(self, path: Path, _why: str) -> None:
        self.enter(f"remove {path.name}")
        self.folders = {one for one in self.folders if not one.is_relative_to(path)}

    def append(self, _path: Path, line: str) -> None:
        self.ledger.append(json.loads(line))

    def wait(self, seconds: float, _why: str) -> None:
        self.waited += seconds


def _arn(key: str) -> str:
    return f"arn:aws:kms:eu-west-1:123456789012:key/{key}"


def _printed(told: object) -> Finished:
    return Finished(0, json.dumps(told), "")
