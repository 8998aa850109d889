"""The program of the sample enclave: who connects to vsock port 5000 gets a line of JSON.

In it are the enclave's module ID, its measurements and its attestation document in base64, as the
Nitro Security Module gives them. Python's own library is all that it needs.
"""

from __future__ import annotations

import array
import base64
import fcntl
import json
import os
import socket
import struct
import threading

TYPE_CHECKING = False  # To import typing would take the time of a third of a start.
if TYPE_CHECKING:
    from typing import Any

PORT = 5000
ANY_CID = 0xFFFF_FFFF
NSM_REQUEST = 0xC020_0A00
"""_IOWR(0x0A, 0, 32 bytes): where request and response are, and how long."""
LONGEST_RESPONSE = 0x3000
ATTEST = b"\xa1\x6bAttestation\xa3\x69user_data\xf6\x65nonce\xf6\x6apublic_key\xf6"


def ask_nsm(request: bytes) -> bytes:
    """One request to /dev/nsm, in CBOR as its answer is."""
    asked, answer = array.array("B", request), array.array("B", bytes(LONGEST_RESPONSE))
    places = bytearray(struct.pack("=QQQQ", *asked.buffer_info(), *answer.buffer_info()))
    device = os.open("/dev/nsm", os.O_RDWR)
    try:
        fcntl.ioctl(device, NSM_REQUEST, places)
    finally:
        os.close(device)
    return answer.tobytes()[: struct.unpack("=QQQQ", places)[3]]


def read_cbor(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value at a place, and the place behind it; of CBOR what the NSM writes."""
    kind, length = data[at] >> 5, data[at] & 31
    at += 1
    if 24 <= length < 28 and kind < 7:
        size = 1 << length - 24
        length, at = int.from_bytes(data[at : at + size], "big"), at + size
    if kind in (2, 3):
        content = data[at : at + length]
        return content if kind == 2 else content.decode(), at + length
    if kind in (4, 5):
        return read_items(data, at, kind, length)
    return length if kind == 0 else None, at


def read_items(data: bytes, at: int, kind: int, length: int) -> tuple[Any, int]:
    """The items of an array or of a map; 31 for a length is one that ends with a mark."""
    items: list[Any] = []
    while data[at] != 0xFF if length == 31 else len(items) < length * (kind - 3):
        item, at = read_cbor(data, at)
        items.append(item)
    at += length == 31
    return items if kind == 4 else dict(zip(items[::2], items[1::2], strict=True)), at


def attest() -> dict[str, object]:
    """What this enclave can prove about itself."""
    response, _ = read_cbor(ask_nsm(ATTEST))
    if "Attestation" not in response:
        return {"error": str(response)}
    document = response["Attestation"]["document"]
    (_, _, payload, _), _ = read_cbor(document)
    content, _ = read_cbor(payload)
    return {
        "module_id": content["module_id"],
        "pcrs": {index: value.hex() for index, value in content["pcrs"].items()},
        "document": base64.b64encode(document).decode(),
    }


def answer(connection: socket.socket) -> None:
    """Answer one connection."""
    with connection:
        try:
            told = attest()
        except OSError as error:
            told = {"error": f"/dev/nsm: {error}"}
        connection.sendall(json.dumps(told).encode() + b"\n")


def main() -> None:
    """Listen, and answer everybody."""
    listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    listener.bind((ANY_CID, PORT))
    listener.listen(16)
    print(f"sample enclave: listening at vsock port {PORT}", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
