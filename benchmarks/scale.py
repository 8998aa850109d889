"""Figures of many keys, many enclaves and many clients: what one call costs must not grow."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.attested import SECRET, Enclave
from benchmarks.figures import Bound, Bounded, Figure, Unit
from benchmarks.measure import (
    Action,
    Batches,
    Ratio,
    interleaved,
    median,
    percentile,
    ratio,
)
from benchmarks.over_http import Client, decrypt_request, served
from nsm_fake import EnclaveIdentity, NitroSecurityModule, system_clock

KEYS = 10_000
ENCLAVES = 1_000
CLIENTS = 32
_CALLS = 20
_CALLS_EACH = 40
_MATERIAL = bytes(32)


def decrypt_with_many_keys(*, rounds: int) -> Figure:
    """Attested Decrypt under one of many keys, each with a policy of its own, and under one key."""
    enclave = Enclave()
    blobs = [_ciphertext(number) for number in range(KEYS)]
    with _holding(enclave, 1) as (_, one), _holding(enclave, KEYS) as (_, many):
        chosen = random.Random(1)  # noqa: S311  # Nothing is secret here.
        for blob in blobs:  # Each key is used once, so that nothing is new to the server.
            many.post("Decrypt", decrypt_request(blob, enclave.document()))

        def prepare() -> Sequence[Action]:
            singles = _requests(enclave, [blobs[0]])
            mixed = _requests(enclave, [chosen.choice(blobs) for _ in range(_CALLS + 1)])
            return (
                lambda: one.post("Decrypt", next(singles)),
                lambda: many.post("Decrypt", next(mixed)),
            )

        floor, ours = interleaved(prepare, rounds=rounds, calls=_CALLS)
    return _flat(f"attested Decrypt, one of {KEYS:,} keys", ours, floor, "a server with one key")


def decrypt_with_many_enclaves(*, rounds: int) -> Figure:
    """Attested Decrypt by one of many enclaves, and by always the same one."""
    enclave = Enclave()
    modules = [_module(enclave) for _ in range(ENCLAVES)]
    chosen = random.Random(1)  # noqa: S311  # Nothing is secret here.
    with served(enclave) as (_, client):
        blob = client.key()
        for module in modules:
            client.post("Decrypt", decrypt_request(blob, enclave.document(module)))

        def prepare() -> Sequence[Action]:
            same = iter([decrypt_request(blob, enclave.document()) for _ in range(_CALLS + 1)])
            mixed = iter(
                [
                    decrypt_request(blob, enclave.document(chosen.choice(modules)))
                    for _ in range(_CALLS + 1)
                ]
            )
            return (
                lambda: client.post("Decrypt", next(same)),
                lambda: client.post("Decrypt", next(mixed)),
            )

        floor, ours = interleaved(prepare, rounds=rounds, calls=_CALLS)
    return _flat(f"attested Decrypt, one of {ENCLAVES:,} enclaves", ours, floor, "the same enclave")


def _flat(name: str, ours: Batches, floor: Batches, floor_is: str) -> Figure:
    return Figure(
        name=name,
        unit=Unit.MILLISECONDS,
        ours=median(ours) / 1e6,
        floor=median(floor) / 1e6,
        floor_is=floor_is,
        ratio=ratio(ours, floor),
        bound=Bound(Bounded.RATIO, 1.2),
    )


def many_clients() -> Figure:
    """The slowest hundredth of the answers to clients that call at once, beside the middle one."""
    enclave = Enclave()
    with served(enclave) as (_, first):
        blob = first.key(enclave.key_policy())
        bodies = [decrypt_request(blob, enclave.document()) for _ in range(CLIENTS)]
        endpoint = first.endpoint

        def call(body: bytes) -> list[int]:
            client = Client(endpoint)
            client.post("Decrypt", body)
            taken = []
            for _ in range(_CALLS_EACH):
                begin = time.perf_counter_ns()
                client.post("Decrypt", body)
                taken.append(time.perf_counter_ns() - begin)
            client.close()
            return taken

        with ThreadPoolExecutor(CLIENTS) as pool:
            batches = list(pool.map(call, bodies))
    slow, middle = percentile(batches, 0.99), median([list(chain.from_iterable(batches))])
    return Figure(
        name=f"attested Decrypt, {CLIENTS} clients at once, p99",
        unit=Unit.MILLISECONDS,
        ours=slow / 1e6,
        floor=middle / 1e6,
        floor_is=f"p50 of the same {CLIENTS * _CALLS_EACH} calls, all of them answered",
        ratio=Ratio.once(slow, middle),
        bound=Bound(Bounded.RATIO, 10.0),
    )


def _requests(enclave: Enclave, blobs: Sequence[str]) -> Iterator[bytes]:
    """A request for each timed call and the one before; each with a document of its own."""
    made = [
        decrypt_request(blobs[number % len(blobs)], enclave.document())
        for number in range(_CALLS + 1)
    ]
    return iter(made)


@contextmanager
def _holding(enclave: Enclave, keys: int) -> Iterator[tuple[int, Client]]:
    """A server with that many keys from a keys file."""
    with TemporaryDirectory(prefix="attested-kms-keys-") as folder:
        file = Path(folder) / "keys.json"
        file.write_text(json.dumps({"keys": [_key(enclave, number) for number in range(keys)]}))
        with served(enclave, "--keys", str(file)) as (process_id, client):
            yield process_id, client


def _key(enclave: Enclave, number: int) -> dict[str, Any]:
    policy = json.loads(enclave.key_policy())
    policy["Id"] = f"of key {number}"
    return {"id": _key_id(number), "material": _MATERIAL.hex(), "policy": policy}


def _key_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def _ciphertext(number: int) -> str:
    """A CiphertextBlob in base64: key id, IV, tag, ciphertext, as kms_fake.keys reads it."""
    iv = number.to_bytes(12)
    sealed = AESGCM(_MATERIAL).encrypt(iv, SECRET, None)
    blob = _key_id(number).encode() + iv + sealed[-16:] + sealed[:-16]
    return base64.b64encode(blob).decode()


def _module(enclave: Enclave) -> NitroSecurityModule:
    identity = EnclaveIdentity.create(clock=system_clock, label="one of many")
    return NitroSecurityModule(identity, enclave.pki, system_clock)
