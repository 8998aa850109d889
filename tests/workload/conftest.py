"""The workload's surroundings: a stub NSM, a stub KMS, an encoder of envelopes, both programs.

The stubs are these tests' own, so that the workload is tested without the project's fakes. The
enclave program and the host proxy run as processes, once a session; `kms_answers` tells the stub
KMS what to say and `kms_requests` what it was asked.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from scenarios.workload import frames, transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
CONTROL_PORT = 5000
PROXY_PORT = 8000
PLAINTEXT = b"the plaintext of the stub KMS"


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


# --- Envelopes, written by hand: independent of the reader under test -------------------------


def der(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    head = bytes([size]) if size < 0x80 else bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + head + content


def indefinite(tag: int, *contents: bytes) -> bytes:
    return bytes([tag, 0x80]) + b"".join(contents) + b"\0\0"


def _hash_algorithm(digest: str) -> bytes:
    oids = {"sha1": "2b0e03021a", "sha256": "608648016503040201"}
    return der(0x30, der(0x06, bytes.fromhex(oids[digest])), der(0x05))


def _oaep(digest: str, mask_digest: str) -> bytes:
    parameters = b""  # Absent ones mean SHA-1.
    if (digest, mask_digest) != ("sha1", "sha1"):
        mgf1 = der(0x06, bytes.fromhex("2a864886f70d010108"))
        mask = der(0x30, mgf1, _hash_algorithm(mask_digest))
        parameters = der(0xA0, _hash_algorithm(digest)) + der(0xA1, mask)
    return der(0x30, der(0x06, bytes.fromhex("2a864886f70d010107")), der(0x30, parameters))


def _encode_envelope(
    *,
    identifier: bytes,
    encrypted_key: bytes,
    iv: bytes,
    ciphertext: bytes,
    form: str = "constructed",
    oaep_hash: str = "sha256",
    mask_hash: str | None = None,
    strict_der: bool = False,
) -> bytes:
    """CMS EnvelopedData from its parts: as KMS writes it, or everything definite."""
    open_ended = der if strict_der else indefinite
    version = der(0x02, b"\x02")
    oaep = _oaep(oaep_hash, mask_hash or oaep_hash)
    recipient = der(0x30, version, der(0x80, identifier), oaep, der(0x04, encrypted_key))
    if form == "primitive":
        content = der(0x80, ciphertext)
    else:
        pieces = [ciphertext[i : i + 1000] for i in range(0, len(ciphertext), 1000)]
        content = indefinite(0xA0, *(der(0x04, piece) for piece in pieces))
    cipher = der(0x30, der(0x06, bytes.fromhex("60864801650304012a")), der(0x04, iv))
    data = der(0x06, bytes.fromhex("2a864886f70d010701"))
    enveloped = open_ended(
        0x30, version, der(0x31, recipient), open_ended(0x30, data, cipher, content)
    )
    kind = der(0x06, bytes.fromhex("2a864886f70d010703"))
    return open_ended(0x30, kind, open_ended(0xA0, enveloped))


def _seal(
    plaintext: bytes, key: rsa.RSAPublicKey, *, content_key: bytes = b"k" * 32, **form: Any
) -> bytes:
    """An envelope of `plaintext` to `key`; `form` as for `encode_envelope`."""
    iv = b"initialization v"
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(content_key), modes.CBC(iv)).encryptor()
    padded = padder.update(plaintext) + padder.finalize()
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    oaep = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)
    parts = {
        "identifier": hashlib.sha256(public).digest(),
        "encrypted_key": key.encrypt(content_key, oaep),
        "iv": iv,
        "ciphertext": encryptor.update(padded) + encryptor.finalize(),
    }
    return _encode_envelope(**(parts | form))


@pytest.fixture(scope="session")
def encode_envelope() -> Callable[..., bytes]:
    return _encode_envelope


@pytest.fixture(scope="session")
def seal() -> Callable[..., bytes]:
    return _seal


# --- The fabric and the stubs -----------------------------------------------------------------


@pytest.fixture(scope="session")
def fabric() -> Iterator[Path]:
    # Not pytest's own folder: its path is too long for a socket on macOS.
    folder = Path(tempfile.mkdtemp(prefix="wl", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def in_fabric(fabric: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tests' own process uses the fabric, too: none of them may use vsock."""
    monkeypatch.setenv(transport.FABRIC_VARIABLE, str(fabric))
    return fabric


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


class _NsmHandler(socketserver.StreamRequestHandler):
    numbers = itertools.count()

    def handle(self) -> None:
        while head := self.rfile.read(4):
            request = self.rfile.read(int.from_bytes(head, "big"))
            answer = self.answer(cbor2.loads(request))
            self.wfile.write(len(answer).to_bytes(4, "big") + answer)

    def answer(self, request: Any) -> bytes:
        match request:
            case "DescribeNSM":
                fields = {"module_id": "i-stub-enc1", "max_pcrs": 32, "locked_pcrs": [0, 1, 16]}
                return cbor2.dumps({"DescribeNSM": fields})
            case {"DescribePCR": {"index": int(index)}}:
                return cbor2.dumps({"DescribePCR": {"lock": True, "data": bytes([index]) * 48}})
            case {"Attestation": {"user_data": b"refuse"}}:
                return cbor2.dumps({"Error": "InvalidOperation"})
            case {"Attestation": {"user_data": b"garbage"}}:
                return b"\xff"
            case {"Attestation": fields}:
                document = cbor2.dumps(["stub", next(self.numbers), fields])
                return cbor2.dumps({"Attestation": {"document": document}})
        return cbor2.dumps({"Error": "InvalidArgument"})


@pytest.fixture(scope="session")
def nsm(fabric: Path) -> Iterator[Path]:
    """A stub NSM: its documents are the CBOR of ["stub", number, fields of the request]."""
    path = fabric / "nsm.sock"
    with _serving(_UnixServer(str(path), _NsmHandler)):
        yield path


class _StubKms(ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _KmsHandler)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.answers: deque[tuple[int, bytes]] = deque()


class _KmsHandler(BaseHTTPRequestHandler):
    server: _StubKms

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        members = json.loads(self.rfile.read(length))
        operation = self.headers["X-Amz-Target"].removeprefix("TrentService.")
        self.server.requests.append((operation, members))
        queued = self.server.answers
        status, body = queued.popleft() if queued else (200, self.envelope_for(members))
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @staticmethod
    def envelope_for(members: dict[str, Any]) -> bytes:
        _, _, fields = cbor2.loads(base64.b64decode(members["Recipient"]["AttestationDocument"]))
        key = load_der_public_key(fields["public_key"])
        assert isinstance(key, rsa.RSAPublicKey)
        blob = base64.b64encode(_seal(PLAINTEXT, key)).decode()
        return json.dumps({"KeyId": "stub-key", "CiphertextForRecipient": blob}).encode()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def stub_kms() -> Iterator[_StubKms]:
    server = _StubKms()
    with _serving(server):
        yield server


@pytest.fixture(scope="session")
def kms_url(stub_kms: _StubKms) -> str:
    return f"http://127.0.0.1:{stub_kms.server_port}"


@pytest.fixture
def kms_requests(stub_kms: _StubKms) -> list[tuple[str, dict[str, Any]]]:
    """Operation and JSON members of each request during the test."""
    stub_kms.requests.clear()
    return stub_kms.requests


@pytest.fixture
def kms_answers(stub_kms: _StubKms) -> Iterator[deque[tuple[int, bytes]]]:
    """Status and body of the next answers; without one, an envelope of `PLAINTEXT`."""
    stub_kms.answers.clear()
    yield stub_kms.answers
    assert not stub_kms.answers, "the stub KMS was not asked as often as the test expected"


# --- The programs -----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def spawn(fabric: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Start a program of the workload with these arguments in the fabric `folder`."""
    home = tmp_path_factory.mktemp("home")

    def start(module: str, *arguments: str, folder: Path = fabric) -> subprocess.Popen[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "example",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            transport.FABRIC_VARIABLE: str(folder),
        }
        return subprocess.Popen(
            [sys.executable, "-m", f"scenarios.workload.{module}", *arguments],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@contextlib.contextmanager
def _running(program: subprocess.Popen[str]) -> Iterator[None]:
    assert program.stdout is not None
    with program:
        try:
            assert program.stdout.readline() == "ready\n", program.communicate()
            yield
        finally:
            program.terminate()
            output, errors = program.communicate()
        assert (program.returncode, output, errors) == (0, "", "")


@pytest.fixture(scope="session")
def proxy(spawn: Callable[..., Any], kms_url: str) -> Iterator[tuple[int, int]]:
    """The host proxy runs; its vsock address."""
    with _running(spawn("kms_proxy_host", "--region", "eu-central-1", "--endpoint-url", kms_url)):
        yield transport.PARENT_CID, PROXY_PORT


@pytest.fixture(scope="session")
def enclave(spawn: Callable[..., Any], nsm: Path) -> Iterator[tuple[int, int]]:
    """The enclave program runs; its vsock address."""
    assert nsm.is_socket()
    with _running(spawn("enclave")):
        yield transport.FABRIC_ENCLAVE_CID, CONTROL_PORT


def _ask(address: tuple[int, int], request: dict[str, Any]) -> dict[str, Any]:
    with transport.connect(*address, timeout=10) as connection:
        frames.send(connection, frames.encode(request))
        answer = frames.receive(connection, wait_seconds=30)
    assert answer is not None
    assert answer.pop("version") == 1
    return answer


@pytest.fixture
def ask_enclave(enclave: tuple[int, int]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Send the enclave one request over a new connection; its answer without the version."""
    return lambda request: _ask(enclave, {"version": 1} | request)


@pytest.fixture
def ask_proxy(proxy: tuple[int, int]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Send the host proxy one request over a new connection; its answer without the version."""
    return lambda request: _ask(proxy, {"version": 1} | request)


@pytest.fixture
def stream_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    first, second = socket.socketpair()
    with first, second:
        yield first, second
