"""Figures beside other fakes of KMS: moto's own server, and LocalStack in host mode.

Both do less for their time: moto knows no Recipient, and LocalStack believes any document. Where a
peer cannot be had here, its figures are left out with a sentence that says why.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.attested import Enclave
from benchmarks.figures import BenchmarkFailed, Bound, Bounded, Figure, Unit
from benchmarks.measure import Action, Batches, interleaved, median, ratio
from benchmarks.over_http import Client, decrypt_request, served
from benchmarks.processes import started

_CALLS = 20
_START_SECONDS = 60.0
_HERE = Path(__file__).resolve().parent
_LOCALSTACK = _HERE.parent / ".tox" / "localstack"


class NoPeer(Exception):
    """Why a peer cannot be measured here, in a sentence."""


def beside_moto(*, rounds: int) -> Figure:
    """Plain Decrypt beside moto_server, which is the same moto behind Flask."""
    command = Path(sys.executable).with_name("moto_server")
    if not command.exists():
        raise BenchmarkFailed(f"{command} does not exist; run the benchmarks with ./toxw -e bench.")
    port = _free_port()
    with (
        served(Enclave()) as (_, ours),
        _peer([str(command), "-p", str(port)], port, {}, "/moto-api/") as theirs,
    ):
        bodies = [
            json.dumps({"CiphertextBlob": client.key()}).encode() for client in (theirs, ours)
        ]
        floor, mine = interleaved(
            lambda: (
                lambda: theirs.post("Decrypt", bodies[0]),
                lambda: ours.post("Decrypt", bodies[1]),
            ),
            rounds=rounds,
            calls=_CALLS,
        )
    return _beside("plain Decrypt", mine, floor, "moto_server", 1 / 3)


def localstack_python() -> Path:
    """The interpreter that has LocalStack; installs it the first time. Raises NoPeer."""
    python = _LOCALSTACK / "bin" / "python"
    if (_LOCALSTACK / "complete").exists():
        return python
    base = next(filter(_runs, ("python3.13", "python3.12")), None)
    if base is None:
        raise NoPeer("LocalStack is left out: it needs python3.13 on PATH, and there is none.")
    shutil.rmtree(_LOCALSTACK, ignore_errors=True)
    requirements = str(_HERE / "localstack-requirements.txt")
    steps = (
        [base, "-m", "venv", str(_LOCALSTACK)],
        [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", requirements],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise NoPeer(f"LocalStack is left out: it cannot be installed ({last[0]}).")
    (_LOCALSTACK / "complete").touch()
    return python


def _runs(name: str) -> bool:
    """Whether there is such an interpreter; a version manager's stub may stand for none."""
    found = shutil.which(name)
    if found is None:
        return False
    return subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0


def beside_localstack(python: Path, *, rounds: int) -> Iterator[Figure]:
    """Attested Decrypt beside LocalStack's, by bare HTTP and by boto3."""
    enclave = Enclave()
    with TemporaryDirectory(prefix="localstack-") as folder:
        port = _free_port()
        environment = {
            "HOME": folder,
            "LOCALSTACK_VOLUME_DIR": folder,
            "FILESYSTEM_ROOT": folder,
            "SERVICES": "kms",
            "EAGER_SERVICE_LOADING": "0",
            "GATEWAY_LISTEN": f"127.0.0.1:{port}",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
        }
        command = [str(python), "-m", "localstack.runtime.main"]
        with (
            served(enclave) as (_, ours),
            _peer(command, port, environment, "/_localstack/health") as theirs,
        ):
            clients = (theirs, ours)
            blobs = [client.key() for client in clients]
            for client, blob in zip(clients, blobs, strict=True):
                answer = client.post("Decrypt", decrypt_request(blob, enclave.document()))
                if b"CiphertextForRecipient" not in answer:
                    raise BenchmarkFailed(f"{client.endpoint} answered without an envelope.")
            yield _by_http(enclave, clients, blobs, rounds)
            yield _by_boto3(enclave, clients, blobs, rounds)


def _by_http(
    enclave: Enclave, clients: Sequence[Client], blobs: Sequence[str], rounds: int
) -> Figure:
    def prepare() -> Sequence[Action]:
        return [
            _posting(client, enclave, blob) for client, blob in zip(clients, blobs, strict=True)
        ]

    floor, mine = interleaved(prepare, rounds=rounds, calls=_CALLS)
    return _beside(
        "attested Decrypt by HTTP", mine, floor, "LocalStack, which verifies nothing", 0.2
    )


def _posting(client: Client, enclave: Enclave, blob: str) -> Action:
    bodies = iter([decrypt_request(blob, enclave.document()) for _ in range(_CALLS + 1)])
    return lambda: client.post("Decrypt", next(bodies))


def _by_boto3(
    enclave: Enclave, clients: Sequence[Client], blobs: Sequence[str], rounds: int
) -> Figure:
    sdks = [_sdk(client.endpoint) for client in clients]

    def prepare() -> Sequence[Action]:
        return [_calling(sdk, enclave, blob) for sdk, blob in zip(sdks, blobs, strict=True)]

    floor, mine = interleaved(prepare, rounds=rounds, calls=_CALLS)
    return _beside(
        "attested Decrypt by boto3", mine, floor, "LocalStack, which verifies nothing", 0.5
    )


def _calling(sdk: Any, enclave: Enclave, blob: str) -> Action:
    recipients = iter([enclave.recipient() for _ in range(_CALLS + 1)])
    raw = base64.b64decode(blob)
    return lambda: sdk.decrypt(CiphertextBlob=raw, Recipient=next(recipients))


def _sdk(endpoint: str) -> Any:
    return boto3.client(
        "kms",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="PARENTINSTANCE",
        aws_secret_access_key="any",  # noqa: S106  # No secret.
        config=Config(retries={"total_max_attempts": 1}),
    )


def _beside(name: str, ours: Batches, theirs: Batches, peer: str, limit: float) -> Figure:
    """A figure whose floor is a peer: ours may take the share `limit` of its time."""
    return Figure(
        name=f"{name}, beside {peer.split(',', maxsplit=1)[0]}",
        unit=Unit.MILLISECONDS,
        ours=median(ours) / 1e6,
        floor=median(theirs) / 1e6,
        floor_is=f"no floor but a peer: {peer}",
        ratio=ratio(ours, theirs),
        bound=Bound(Bounded.RATIO, limit),
    )


@contextmanager
def _peer(
    command: Sequence[str], port: int, environment: Mapping[str, str], health: str
) -> Iterator[Client]:
    """A peer that answers at `port`, ended afterwards. Raises BenchmarkFailed if it never does."""
    with started(command, environment={**os.environ, **environment}, quiet=True) as process:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port, health):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkFailed(f"{command[0]} {command[1]} did not start.")
            time.sleep(0.1)
        client = Client(f"http://127.0.0.1:{port}", may_close=True)
        try:
            yield client
        finally:
            client.close()


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
