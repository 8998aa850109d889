"""Unmodified enclave programs: how they are built, run, and what each of them must do.

The programs are in `programs/`, one folder a language, and know of no simulator. Every one that
attests takes `dial PORT KEY` and `listen PORT`, every one that calls KMS a mistake's name or
nothing; each prints one fact a line, a name and a value.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_fake.chain import TrustedRoots
from kms_fake.document import read_cose_sign1, read_payload
from kms_fake.document_rules import judge_document
from kms_fake.roots import root_from_der
from simulator.environment import without_aws
from simulator.fabric import Fabric, temporary_fabric

PROGRAMS = Path(__file__).parent / "programs"

PARENT = 3
CID = 16
"""The CID that `attested-kms run` gives an enclave where it is told none."""
PORT = 5005

NOBODY_LISTENS = 104
"""ECONNRESET: what AF_VSOCK answers where nobody listens."""

MISTAKES = {
    "no-size": "Please specify either number of bytes or key spec.",
    "no-key-encryption-algorithm": "You must specify an encryption algorithm in this request.",
    "no-public-key": "You must specify a recipient public key in this request.",
    "pkcs1": "Invalid public key",
}
"""The four errors of the field notes (bugs 7, 8.1, 8.2 and 8.3) by the program's argument."""

_RUN = (sys.executable, "-m", "simulator.cli", "run")
_TRAP = re.compile(r"(\w+) (\d+)")
_SECONDS = 50.0

Command = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that has ended under the supervisor."""

    exit_code: int
    output: str
    errors: str

    @property
    def said(self) -> dict[str, str]:
        """The facts that it printed."""
        return dict(line.split(" ", 1) for line in self.output.splitlines())

    @property
    def traps(self) -> dict[str, int]:
        """How often each system call was answered by the supervisor."""
        lines = [line for line in self.errors.splitlines() if "traps" in line]
        assert lines, f"no counts of traps on standard error: {self.errors}"
        return {name: int(count) for name, count in _TRAP.findall(lines[-1])}


def run_command(fabric: Fabric, command: Command, options: Sequence[str]) -> list[str]:
    """`attested-kms run` with a program. The only place that knows its command line."""
    more = os.environ.get(OPTIONS, "").split()
    start = [*_RUN, "--fabric", str(fabric.folder), "-v", *more, *options]
    return [*start, "--", *map(str, command)]


@contextmanager
def started_enclave(
    fabric: Fabric, command: Command, *options: str
) -> Iterator[subprocess.Popen[str]]:
    """A program while it runs under the supervisor."""
    with subprocess.Popen(
        run_command(fabric, command, options),
        env=without_aws(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            # A program that has ended by itself takes no notice.
            process.terminate()


def run_enclave(fabric: Fabric, command: Command, *options: str) -> Ran:
    """A program, run under the supervisor to its end."""
    with started_enclave(fabric, command, *options) as process:
        output, errors = process.communicate(timeout=_SECONDS)
    return Ran(process.returncode, output, errors)


@contextmanager
def _parent_that_listens(at: Path, answer: bytes) -> Iterator[Future[bytes]]:
    """What the first caller says at a Unix socket; it gets the answer."""
    with (
        socket.socket(socket.AF_UNIX) as listener,
        ThreadPoolExecutor(1) as threads,
    ):
        listener.bind(str(at))
        listener.listen()

        def hear() -> bytes:
            caller, _ = listener.accept()
            with caller, caller.makefile("rb") as said:
                heard = said.read()
                caller.sendall(answer)
            return heard

        try:
            yield threads.submit(hear)
        finally:
            # Wakes a thread to which nobody came.
            listener.shutdown(socket.SHUT_RDWR)


# ---- What every program does ----


def _a_public_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def attests_and_dials(program: Command, how: str, folder: Path, *options: str) -> Ran:
    """Runs `dial`; asserts that the parent got a genuine document with the program's key."""
    spki = _a_public_key()
    key = folder / "key.der"
    key.write_bytes(spki)
    with temporary_fabric() as fabric:
        address = fabric.socket(PARENT, PORT)
        with _parent_that_listens(address, b"thank you, enclave") as heard:
            ran = run_enclave(fabric, [*program, how, str(PORT), key], *options)
            assert ran.exit_code == 0, ran
            document = heard.result(_SECONDS)
    fields = read_payload(read_cose_sign1(document).payload)
    # Which root is no matter here: that the whole chain up to it is good, and the key too, is.
    roots = TrustedRoots([root_from_der(fields.cabundle[0])])
    assert judge_document(document, roots, time.time_ns() // 1_000_000) == ()
    assert fields.public_key == spki
    expected_cid = options[options.index("--cid") + 1] if "--cid" in options else str(CID)
    assert ran.said == {
        "module_id": fields.module_id,
        "cid": expected_cid,
        "document": str(len(document)),
        "peer": f"{PARENT}:{PORT}",
        "answer": "thank you, enclave",
    }
    # Two requests to the NSM, and the CID.
    assert ran.traps["ioctl"] == 3
    # In namespaces, init's heartbeat is a connection too.
    assert ran.traps["connect"] in (1, 2)
    return ran


def is_told_that_nobody_listens(program: Command, how: str, folder: Path) -> None:
    """Runs `dial` where there is no parent; asserts that the program is told, and how."""
    key = folder / "key.der"
    key.write_bytes(_a_public_key())
    with temporary_fabric() as fabric:
        ran = run_enclave(fabric, [*program, how, str(PORT), key])
    assert (ran.exit_code, ran.said.get("errno")) == (3, str(NOBODY_LISTENS)), ran


def listens(program: Command, how: str, bound_cid: int = -1) -> None:
    """Runs `listen`, calls as the parent does, and asserts what both of them hear.

    `bound_cid` is the CID that the program sees itself bound to: -1 is VMADDR_CID_ANY.
    """
    with (
        temporary_fabric() as fabric,
        started_enclave(fabric, [*program, how, str(PORT)]) as process,
    ):
        assert process.stdout is not None
        listening = process.stdout.readline()
        if not listening:
            pytest.fail(process.communicate(timeout=_SECONDS)[1])
        assert listening == f"listening {bound_cid}:{PORT}\n"
        with socket.socket(socket.AF_UNIX) as parent:
            parent.settimeout(_SECONDS)
            parent.connect(str(fabric.socket(CID, PORT)))
            parent.sendall(b"hello, enclave")
            parent.shutdown(socket.SHUT_WR)
            with parent.makefile() as answer:
                assert answer.read() == "hello, parent"
        output, errors = process.communicate(timeout=_SECONDS)
    ran = Ran(process.returncode, output, errors)
    assert ran.exit_code == 0, ran
    assert ran.said == {"accepted": str(PARENT), "heard": "hello, enclave"}


def decrypts(program: Command) -> None:
    """Runs it without a mistake; asserts that only the enclave saw the plaintext."""
    with temporary_fabric() as fabric:
        ran = run_enclave(fabric, program, "--kms")
    assert ran.exit_code == 0, ran
    assert ran.said == {"plaintext": "0", "opened": "only this enclave reads me"}


def is_refused(program: Command, mistake: str) -> None:
    """Runs it with a mistake; asserts that it gets the error of the field notes."""
    with temporary_fabric() as fabric:
        ran = run_enclave(fabric, [*program, mistake], "--kms")
    assert ran.exit_code == 0, ran
    assert ran.output == f"error ValidationException: {MISTAKES[mistake]}\n"


# ---- How they are built ----

BUILT = "ATTESTED_KMS_BUILT_PROGRAMS"
"""The variable that names a folder in which the programs have been built already."""
OPTIONS = "ATTESTED_KMS_RUN_OPTIONS"
"""The variable that names more options of `attested-kms run`, for every program."""


def place(folders: pytest.TempPathFactory, name: str) -> tuple[Path, bool]:
    """The folder of a program's build, and whether it has been built there already."""
    if BUILT in os.environ:
        return Path(os.environ[BUILT]) / name, True
    # Below one folder that can be named to others.
    base = folders.getbasetemp() / "built"
    base.mkdir(exist_ok=True)
    folder = base / name
    if folder.exists():
        return folder, True
    folder.mkdir()
    return folder, False


def need(*programs: str) -> None:
    """Skips the test if one of the programs is not on PATH, and not because nothing is built."""
    if BUILT in os.environ:
        return
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def built(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a command that builds something prints; it fails the test with its errors."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
