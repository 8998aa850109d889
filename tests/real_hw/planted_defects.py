"""Whether the rehearsal can fail: defects planted in the hardware target, one at a time.

    python -m tests.real_hw.planted_defects [NAME ...]

Each defect is a change of one text of `real_hw`, or of what it shares with the simulator's target,
in a copy of the project. The scenarios that should notice it are rehearsed there, and the rehearsal
must end red: by a scenario, or by what the world finds left behind. The same scenarios without a
defect must be green, or a red would prove nothing. Prints a table; exit code 1 if a defect goes
unnoticed. Not a test of `tox -e py`: each is a world of its own, so all of them take minutes
(`tox -e rehearsal-checks`).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.real_hw.rehearsing import NO_NAMESPACES, ROOT, listing, rehearse, told

PARTS = ("conftest.py", "kms_fake", "nsm_fake", "pyproject.toml", "real_hw", "scenarios")
SIMULATOR = "simulator"


@dataclass(frozen=True, slots=True)
class Defect:
    """One text of a file in place of another."""

    name: str
    file: str
    right: str
    wrong: str
    scenarios: str
    """What of the suite should notice it, as pytest's -k takes it."""


DEFECTS = (
    Defect(
        "KMS's message is swallowed",
        "real_hw/enclaves.py",
        "return KmsError(error.code, error.message, error.http_status)",
        'return KmsError(error.code, "", error.http_status)',
        "bug_8_2",
    ),
    Defect(
        "KMS's exception type is lost",
        "real_hw/kms.py",
        "return KmsError(error.code, error.message, error.http_status)",
        'return KmsError("ClientError", error.message, error.http_status)',
        "flipped_byte_in_the_signature",
    ),
    Defect(
        "a wrong flag of nitro-cli",
        "real_hw/enclaves.py",
        '*("--memory", str(self._settings.memory_mib)),',
        '*("--mem", str(self._settings.memory_mib)),',
        "bug_8_2",
    ),
    Defect(
        "exit code 39 taken for 29",
        "real_hw/doing.py",
        "return Finished(process.returncode, _text(stdout), _text(stderr))",
        "return Finished({39: 29}.get(process.returncode, process.returncode), "
        "_text(stdout), _text(stderr))",
        "bug_9",
    ),
    Defect(
        "keys are not cleaned up",
        "real_hw/keys.py",
        "            schedule_deletion(self._actions, arn)",
        "            continue",
        "bug_8_2",
    ),
    Defect(
        "deletion sooner than KMS allows",
        "real_hw/settings.py",
        "DELETION_DAYS = 7",
        "DELETION_DAYS = 6",
        "bug_8_2",
    ),
    Defect(
        "the enclave is not ended",
        "real_hw/enclaves.py",
        'nitro_cli.terminate(self._actions, enclave_id, "the run\'s enclave goes")',
        "pass",
        "bug_8_2",
    ),
    Defect(
        "debug PCRs taken from describe-enclaves",
        "scenarios/target_parts.py",
        'return {int(index): digest.hex() for index, digest in answer["pcrs"].items()}',
        'told = {int(index): digest.hex() for index, digest in answer["pcrs"].items()}\n'
        "        import subprocess\n"
        '        [one] = json.loads(subprocess.check_output(["nitro-cli", "describe-enclaves"]))\n'
        '        measured = one["Measurements"]\n'
        '        return {**told, **{index: measured[f"PCR{index}"] for index in (0, 1, 2)}}',
        "debug_enclave_against_the_real_pcr0",
    ),
    Defect(
        "debug mode is not asked for",
        "real_hw/enclaves.py",
        '*(("--debug-mode",) if debug else ()),',
        "",
        "debug_enclave_against_the_real_pcr0",
    ),
    Defect(
        "a member of the request is dropped",
        "scenarios/target_parts.py",
        '"members": dict(members),',
        '"members": {k: v for k, v in members.items() if k != "EncryptionContext"},',
        "encryption_context",
    ),
    Defect(
        "the form of the public key is dropped",
        "scenarios/target_parts.py",
        '"public_key": public_key.value,\n                "opener"',
        '"public_key": "spki",\n                "opener"',
        "bug_8_3",
    ),
    Defect(
        "the scenario's statements are not in the policy",
        "real_hw/keys.py",
        "[self._caller.account_root, self._caller.arn], statements)",
        "[self._caller.account_root, self._caller.arn], [])",
        "decrypt_opens",
    ),
    Defect(
        "the first answer is believed",
        "real_hw/settle.py",
        "        if not any(map(self._is_young, keys)):\n            return ask()\n",
        "        return ask()\n",
        "decrypt_opens or wrong_pcr0",
    ),
    Defect(
        "nothing is undone",
        "real_hw/undo.py",
        "for entry in reversed(self._entries):",
        "for entry in self._entries[:0]:",
        "bug_8_2",
    ),
    Defect(
        "a scenario's enclaves are not ended",
        "real_hw/parent.py",
        "for enclave_id in self._running() - self._before",
        "for enclave_id in set[str]() & self._before",
        "bug_9",
    ),
    Defect(
        "the enclave is not told which opener",
        "scenarios/target_parts.py",
        '                "opener": opener.value,\n',
        "",
        "raw_rsa",
    ),
    Defect(
        "overrides of Recipient are dropped",
        "scenarios/target_parts.py",
        '"recipient": dict(recipient or {}),',
        '"recipient": {},',
        "bug_8_1_no_key",
    ),
    Defect(
        "a variable that is to be taken away stays",
        "real_hw/doing.py",
        "if value is not None},",
        'if value is not None} | {"HOME": "/root"},',
        "bug_3_no_folder",
    ),
    Defect(
        "killing the command kills its enclave",
        "real_hw/doing.py",
        "                    process.kill()\n",
        "                    process.kill()\n"
        '                    subprocess.run(["nitro-cli", "terminate-enclave", "--all"])\n',
        "bug_9",
    ),
)


_RED = ("FAILED ", "ERROR ")


def rehearsed(project: Path, scenarios: str) -> tuple[int, str]:
    """The exit code of a rehearsal in a copy of the project, and what was red in it."""
    suite = ("--tb=line", "-rfE", "-k", scenarios)
    code = rehearse(project, project, suite=suite)
    text = told(project)
    red = [line.partition(" - ")[0] for line in text.splitlines() if line.startswith(_RED)]
    left = listing(project)
    red += [f"left: {one}" for one in left["too_much"]] if left else []
    return code, "; ".join(red) or text.strip().rpartition("\n")[2]


def copy_to(folder: Path) -> None:
    """The parts of the project that a rehearsal runs."""
    folder.mkdir()
    for part in (*PARTS, SIMULATOR):
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / part, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, folder / part)


def plant(project: Path, defect: Defect) -> None:
    """Change the text, which must stand there once. Raises ValueError."""
    file = project / defect.file
    text = file.read_text(encoding="utf-8")
    if text.count(defect.right) != 1:
        raise ValueError(f"{defect.name}: its text stands {text.count(defect.right)} times")
    file.write_text(text.replace(defect.right, defect.wrong), encoding="utf-8")


def main(names: Sequence[str]) -> int:
    """Plant each defect and print the table; the exit code."""
    chosen = [defect for defect in DEFECTS if not names or defect.name in names]
    unnoticed = 0
    with TemporaryDirectory(prefix="attested-kms-") as temporary:
        sound = Path(temporary, "sound")
        copy_to(sound)
        every = " or ".join(dict.fromkeys(defect.scenarios for defect in chosen))
        code, why = rehearsed(sound, every)
        print(f"{'no defect':50} {'green' if code == 0 else f'RED ({code})'}  {why}", flush=True)
        if code == NO_NAMESPACES:
            return 0  # It has said why nothing can be rehearsed here.
        if code != 0:
            return code
        for number, defect in enumerate(chosen):
            project = Path(temporary, str(number))
            shutil.copytree(sound, project, symlinks=True)
            plant(project, defect)
            code, why = rehearsed(project, defect.scenarios)
            noticed = code not in (0, NO_NAMESPACES)
            unnoticed += not noticed
            verdict = f"red ({code})" if noticed else "UNNOTICED"
            print(f"{defect.name:50} {verdict:10} {why:.200}", flush=True)
            shutil.rmtree(project)
    print(f"{len(chosen) - unnoticed} of {len(chosen)} defects turned the rehearsal red")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
