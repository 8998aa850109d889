"""Defects planted in real_hw, one at a time: each must turn the rehearsal red.

By hand, for it takes a rehearsal for each: python tests/real_hw/planted_defects.py [NUMBER ...]

Printed is a table: what was planted, and the first that failed. Exit code: 1 if one was not seen.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
PARTS = ("nsm_fake", "kms_fake", "simulator", "scenarios", "real_hw", "conftest.py")
SECONDS = 900


@dataclass(frozen=True)
class Defect:
    name: str
    file: str
    sound: str
    planted: str
    scenarios: str = ""
    """Of `-k`: those that are known to see it, for a quick look; all of them without."""


DEFECTS = (
    Defect(
        "the message of KMS is swallowed",
        "aws.py",
        "return CallRefused(code, message, error",
        'return CallRefused(code, "", error',
        "deny_with_null",
    ),
    Defect(
        "the proxy's code for KMS's is swallowed",
        "enclaves.py",
        "return KmsError(error.code, error.message, error.http_status)",
        'return KmsError("KMSError", error.message, error.http_status)',
        "bug_8_2",
    ),
    Defect(
        "the enclave is not booted in debug mode",
        "enclaves.py",
        '*(("--debug-mode",) if debug else ()),',
        "",
        "debug_enclave_against",
    ),
    Defect(
        "exit code 39 is taken for 29",
        "doing.py",
        "return Finished(process.returncode, _text(stdout)",
        "return Finished({39: 29}.get(process.returncode, process.returncode), _text(stdout)",
        "bug_9",
    ),
    Defect(
        "keys are not scheduled for deletion",
        "keys.py",
        "            schedule_deletion(self._actions, arn)",
        "            id_of(arn)",
        "decrypt_opens",
    ),
    Defect(
        "nothing is undone",
        "undo.py",
        "for entry in reversed(self._entries):",
        "for entry in self._entries[:0]:",
        "decrypt_opens",
    ),
    Defect(
        "a scenario's enclaves are not ended",
        "parent.py",
        "for enclave_id in self._running() - self._before",
        "for enclave_id in set[str]() & self._before",
        "bug_9",
    ),
    Defect(
        "PCRs are those of describe-enclaves",
        "enclaves.py",
        'return {int(index): digest.hex() for index, digest in answer["pcrs"].items()}',
        'del answer; import json, subprocess; told = json.loads(subprocess.run(["nitro-cli", '
        '"describe-enclaves"], capture_output=True, check=True).stdout)[0]["Measurements"]; '
        'return {index: told[f"PCR{index}"] for index in range(3)}',
        "debug_enclave_against",
    ),
    Defect(
        "the enclave is not told which opener",
        "enclaves.py",
        '            "opener": opener.value,\n',
        "",
        "raw_rsa",
    ),
    Defect(
        "overrides of Recipient are dropped",
        "enclaves.py",
        '"recipient": dict(recipient or {}),',
        '"recipient": {},',
        "bug_8_1_no_key",
    ),
    Defect(
        "the first answer is believed",
        "settle.py",
        "IN_A_ROW = 3",
        "IN_A_ROW = 1",
        "a_disabled_key",
    ),
    Defect(
        "a variable is not taken away",
        "doing.py",
        "{name: value for name, value in environment.items() if value is not None}",
        "{name: value or os.environ.get(name, '/root') for name, value in environment.items()}",
        "bug_3_no_folder",
    ),
)


def seen(defect: Defect, folder: Path, *, quick: bool) -> str | None:
    """The first that failed with the defect, None if nothing did."""
    file = folder / "real_hw" / defect.file
    sound = file.read_text()
    if sound.count(defect.sound) != 1:
        return f"NOT PLANTED: {defect.file} has no such place any more"
    file.write_text(sound.replace(defect.sound, defect.planted))
    words = ("pytest", "-p", "no:cacheprovider", "scenarios", "--target", "rehearsal", "-x", "-q")
    chosen = ("-k", defect.scenarios) if quick else ()
    try:
        finished = subprocess.run(
            [
                *(sys.executable, "-m", "simulator.cli", "rehearsal", "--"),
                *(sys.executable, "-m", *words, *chosen),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        file.write_text(sound)
    if finished.returncode == 0:
        return None
    told = finished.stdout + finished.stderr
    first = re.search(r"^(?:FAILED|ERROR) \S*::(.*)$|error: (left behind: .*)$", told, re.MULTILINE)
    return " ".join(filter(None, first.groups())) if first else told[-200:]


def main() -> int:
    """Plant them, one after the other."""
    arguments = sys.argv[1:]
    quick = "--quick" in arguments
    numbers = [int(one) for one in arguments if one.isdigit()] or range(1, len(DEFECTS) + 1)
    missed = 0
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for part in (*PARTS, "pyproject.toml"):
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / part)
        for number in numbers:
            defect = DEFECTS[number - 1]
            found = seen(defect, folder, quick=quick)
            missed += found is None or found.startswith("NOT PLANTED")
            print(f"{number:2}  {defect.name:42}  {found or 'NOT SEEN'}"[:200], flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
