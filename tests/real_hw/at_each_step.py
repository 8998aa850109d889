"""A run on hardware, ended by a signal at each of its steps, and what is left each time.

By hand, for it takes minutes: within a rehearsal, whose own listing comes at the end.

    attested-kms rehearsal -- python tests/real_hw/at_each_step.py [--every N] [--signal SIGTERM]

Each step begins, and a twentieth of a second later the signal comes, with the command or the
request on its way. Printed is what the instance and KMS then have. Exit code: 1 if more than keys
that wait for their deletion is left.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
AFTER_SECONDS = 0.05
T = TypeVar("T")


def run_until(step: int, number: signal.Signals, folder: Path) -> None:
    """What a run does, in short; at its step `step` the signal comes."""
    sys.path.insert(0, str(ROOT))
    from real_hw.actions import Call, Command, Started
    from real_hw.doing import RealActions
    from real_hw.target import HardwareTarget
    from scenarios.target import Finished, Members

    done = 0

    def count(name: str, action: Callable[[], T]) -> T:
        nonlocal done
        done += 1
        if done == step:
            print(f"step {step}: {name}", flush=True)
            threading.Timer(AFTER_SECONDS, os.kill, (os.getpid(), number)).start()
        return action()

    class Counted(RealActions):
        def run(self, command: Command) -> Finished:
            name = " ".join(Path(word).name for word in command.words[:3])
            return count(name, lambda: super(Counted, self).run(command))

        def call(self, call: Call) -> Members:
            name = f"{call.service} {call.operation}"
            return count(name, lambda: super(Counted, self).call(call))

        def start(self, started: Started) -> Any:
            return count("start a process", lambda: super(Counted, self).start(started))

    world = json.loads(Path(os.environ["ATTESTED_KMS_REHEARSAL"]).read_text())
    sys.modules["real_hw.target"].RealActions = Counted  # type: ignore[attr-defined]
    with HardwareTarget(
        launcher=world["launcher"], wait=lambda _: None, say=lambda _: None, folder=folder
    ) as target:
        allow = {
            "Effect": "Allow",
            "Principal": {"AWS": target.role_arn},
            "Action": "kms:Decrypt",
            "Resource": "*",
        }
        blob = target.key([allow]).encrypt(b"secret")
        target.enclave().run("Decrypt", {"CiphertextBlob": blob})
        target.enclave(debug=True)
        with target.parent_instance() as parent:
            uri = parent.image(cmd=["/hello"])
            path = f"{parent.folder}/app.eif"
            parent.nitro_cli("build-enclave", "--docker-uri", uri, "--output-file", path)
            parent.nitro_cli(
                *("run-enclave", "--eif-path", path, "--cpu-count", "2", "--memory", "512")
            )
    print("over", flush=True)


def left() -> list[str]:
    """What the instance and KMS have that is no key that waits."""
    import boto3
    from botocore.exceptions import ClientError

    def printed(*words: str) -> str:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    enclaves = [one["EnclaveID"] for one in json.loads(printed("nitro-cli", "describe-enclaves"))]
    images = printed("docker", "image", "ls", "--format", "{{.Repository}}").split()
    kms = boto3.client("kms")
    keys = []
    for one in kms.list_keys()["Keys"]:
        state = "unknown"
        for _ in range(10):  # KMS tells late of what has become of a key.
            with suppress(ClientError):
                state = kms.describe_key(KeyId=one["KeyId"])["KeyMetadata"]["KeyState"]
            if state == "PendingDeletion":
                break
        else:
            keys.append(f"{one['KeyId']} {state}")
    return [*enclaves, *images, *keys]


def main() -> int:
    """Run until each step in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th step")
    parser.add_argument("--first", type=int, default=1, metavar="N")
    parser.add_argument("--signal", default="SIGTERM", help="SIGINT, SIGTERM or SIGHUP")
    parser.add_argument("--until", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = Path(os.environ["TMPDIR"], "runs")
    if options.until is not None:
        run_until(options.until, signal.Signals[options.signal], folder)
        return 0
    bad = 0
    step = options.first
    while True:
        words = (__file__, "--until", str(step), "--signal", options.signal)
        told = subprocess.run(
            [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        found = left()
        bad += bool(found)
        said = " ".join(told.stdout.split("\n")) or told.stderr[-300:]
        print(f"{said:50} exit {told.returncode:3}  left: {found or 'nothing'}", flush=True)
        if "over" in said and "step" not in said:
            break
        step += options.every
    subprocess.run(["rm", "-r", str(folder)], check=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
