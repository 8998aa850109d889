"""Figures of `attested-kms serve` as users have it: a process of its own, spoken to over HTTP.

The client is a keep-alive `http.client`, whose own time is part of every figure and every floor.
The server derives its root from a seed, from which an enclave in this process has its PKI too.
"""

from __future__ import annotations

import base64
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.attested import SECRET, Enclave
from benchmarks.figures import BenchmarkFailed, Bound, Bounded, Figure, Unit
from benchmarks.measure import (
    Action,
    Batches,
    Ratio,
    interleaved,
    median,
    percentile,
    ratio,
    ratio_of_pairs,
)
from benchmarks.processes import command_of_the_project, first_line, resident_megabytes, started

_CALLS = 20
_MEMORY_CALLS = 1000
_TIMEOUT_SECONDS = 30.0
_BARE_SERVER = Path(__file__).with_name("bare_server.py")
_BARE_SERVER_IS = (
    "cheroot alone in a process of its own, the bytes of the attested request and its answer"
)
_OVER_HTTP = "Decrypt over HTTP"
# What the server cannot do without: moto's KMS and a way into it, HTTP, CBOR, cryptography.
_UNAVOIDABLE = (
    "import moto.kms.responses, moto.core.request, cheroot.wsgi, cbor2, cryptography.x509"
)


class Client:
    """A connection that is kept alive; a peer's may be closed after each answer."""

    def __init__(self, endpoint: str, *, may_close: bool = False) -> None:
        self.endpoint = endpoint
        self._may_close = may_close
        self._connection = HTTPConnection(urlsplit(endpoint).netloc, timeout=_TIMEOUT_SECONDS)

    def post(self, operation: str, body: bytes) -> bytes:
        """The body of the answer. Raises BenchmarkFailed for any other than a 200 kept alive."""
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"TrentService.{operation}",
            "Authorization": "AWS4-HMAC-SHA256 "
            "Credential=PARENTINSTANCE/20260101/us-east-1/kms/aws4_request, "
            "SignedHeaders=host, Signature=0",
        }
        try:
            self._connection.request("POST", "/", body, headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            raise BenchmarkFailed(f"{operation} was not answered: {error!r}") from error
        if response.status != 200 or (response.will_close and not self._may_close):
            raise BenchmarkFailed(f"{operation} was answered {response.status}: {answer!r}")
        return answer

    def call(self, operation: str, members: dict[str, Any]) -> dict[str, Any]:
        """The members of the answer; blobs are base64 text."""
        answer: dict[str, Any] = json.loads(self.post(operation, json.dumps(members).encode()))
        return answer

    def key(self, policy: str | None = None) -> str:
        """The CiphertextBlob of the secret under a new key, in base64."""
        members = {} if policy is None else {"Policy": policy}
        key_id = self.call("CreateKey", members)["KeyMetadata"]["KeyId"]
        secret = base64.b64encode(SECRET).decode()
        blob: str = self.call("Encrypt", {"KeyId": key_id, "Plaintext": secret})["CiphertextBlob"]
        return blob

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


@contextmanager
def served(enclave: Enclave, *arguments: str) -> Iterator[tuple[int, Client]]:
    """A server that trusts the enclave's documents: its process id and a client."""
    command = [command_of_the_project(), "serve", "--port", "0", "--seed", enclave.seed, *arguments]
    with started(command) as process, ExitStack() as stack:
        client = Client(json.loads(first_line(process))["kms_endpoint"])
        stack.callback(client.close)
        yield process.pid, client


def decrypt_request(blob: str, document: bytes) -> bytes:
    """The body of an attested Decrypt of a CiphertextBlob in base64."""
    recipient = {
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "AttestationDocument": base64.b64encode(document).decode(),
    }
    return json.dumps({"CiphertextBlob": blob, "Recipient": recipient}).encode()


def decrypt_over_http(*, rounds: int) -> list[Figure]:
    """Percentiles of attested and plain Decrypt, each request with a document of its own."""
    enclave = Enclave()
    with served(enclave) as (_, client), ExitStack() as stack:
        blob = client.key(enclave.key_policy())
        attested = decrypt_request(blob, enclave.document())
        answer = client.post("Decrypt", attested)
        if b"CiphertextForRecipient" not in answer:
            raise BenchmarkFailed("Decrypt with Recipient was answered without an envelope.")
        plain = json.dumps({"CiphertextBlob": client.key()}).encode()
        bare_command = [sys.executable, str(_BARE_SERVER), str(len(answer))]
        bare_port = first_line(stack.enter_context(started(bare_command))).strip()
        bare = Client(f"http://127.0.0.1:{bare_port}")
        stack.callback(bare.close)

        def prepare() -> Sequence[Action]:
            # One more than is timed: a batch begins with an untimed call.
            requests = iter([decrypt_request(blob, enclave.document()) for _ in range(_CALLS + 1)])
            return (
                lambda: bare.post("Decrypt", attested),
                lambda: client.post("Decrypt", next(requests)),
                lambda: client.post("Decrypt", plain),
            )

        floor, ours, plain_ours = interleaved(prepare, rounds=rounds, calls=_CALLS)
    return [
        _half(f"attested {_OVER_HTTP}, p50", ours, floor, Bound(Bounded.OURS, 2.0)),
        _tail(f"attested {_OVER_HTTP}, p95", ours, floor),
        _half(f"plain {_OVER_HTTP}, p50", plain_ours, floor),
    ]


def _half(name: str, ours: Batches, floor: Batches, bound: Bound | None = None) -> Figure:
    return Figure(
        name=name,
        unit=Unit.MILLISECONDS,
        ours=median(ours) / 1e6,
        floor=median(floor) / 1e6,
        floor_is=_BARE_SERVER_IS,
        ratio=ratio(ours, floor),
        bound=bound,
    )


def _tail(name: str, ours: Batches, floor: Batches) -> Figure:
    tails = [
        (percentile([mine], 0.95), percentile([bare], 0.95))
        for mine, bare in zip(ours, floor, strict=True)
    ]
    return Figure(
        name=name,
        unit=Unit.MILLISECONDS,
        ours=percentile(ours, 0.95) / 1e6,
        floor=percentile(floor, 0.95) / 1e6,
        floor_is=_BARE_SERVER_IS,
        ratio=ratio_of_pairs(tails),
    )


def start_to_first_answer(*, starts: int) -> Figure:
    """From the start of the process to the answer of an attested Decrypt, by way of its key."""
    _seconds_of_a_start()  # The first of each reads the disk and may compile.
    _seconds_of_the_imports()
    pairs = [(_seconds_of_a_start(), _seconds_of_the_imports()) for _ in range(starts)]
    return Figure(
        name="process start to the first answered Decrypt",
        unit=Unit.SECONDS,
        ours=statistics.median(ours for ours, _ in pairs),
        floor=statistics.median(floor for _, floor in pairs),
        floor_is=f'python -c "{_UNAVOIDABLE}", from its start to the end of the imports',
        ratio=ratio_of_pairs(pairs),
        bound=Bound(Bounded.OURS, 1.2),
    )


def _seconds_of_a_start() -> float:
    enclave = Enclave()
    document = enclave.document()
    begin = time.perf_counter()
    with served(enclave) as (_, client):
        blob = client.key(enclave.key_policy())
        client.post("Decrypt", decrypt_request(blob, document))
        return time.perf_counter() - begin


def _seconds_of_the_imports() -> float:
    begin = time.perf_counter()
    with started([sys.executable, "-c", f"{_UNAVOIDABLE}; print('ready', flush=True)"]) as process:
        first_line(process)
        return time.perf_counter() - begin


def memory() -> Figure:
    """The resident set of the server after 1,000 attested Decrypts, each with its document."""
    enclave = Enclave()
    with served(enclave) as (process_id, client):
        before = resident_megabytes(process_id)
        blob = client.key(enclave.key_policy())
        for _ in range(_MEMORY_CALLS):
            client.post("Decrypt", decrypt_request(blob, enclave.document()))
        after = resident_megabytes(process_id)
    return Figure(
        name="memory after 1,000 attested Decrypts",
        unit=Unit.MEGABYTES,
        ours=after,
        floor=before,
        floor_is="the same process, started and not yet asked anything",
        ratio=Ratio.once(after, before),
        bound=Bound(Bounded.OURS, 130.0),
    )
