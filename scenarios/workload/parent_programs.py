"""The programs of the container images that a parent instance gives scenarios.

What they do is told by `ParentInstance.image` of the contract. They stand beside the program of
`attested-kms eif sample` in its image, and use it (`app`): the NSM and vsock in bytes, for a Python
without packages.
"""

from __future__ import annotations

from collections.abc import Mapping

_HELLO = """#!/usr/bin/python3 -ES
import base64, socket
import app

listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
listener.bind((app.ANY_CID, app.PORT))
listener.listen()
print("hello", flush=True)
while True:
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as lines:
        key = base64.b64decode(lines.readline())
        asked = app.ATTEST[:-1] + b"\\x59" + len(key).to_bytes(2, "big") + key
        answer, _ = app.read_cbor(app.ask_nsm(asked))
        connection.sendall(base64.b64encode(answer["Attestation"]["document"]) + b"\\n")
"""
_ONCE = """#!/usr/bin/python3 -ES
print("once", flush=True)
"""

PROGRAMS: Mapping[str, str] = {"hello": _HELLO, "once": _ONCE}
"""Their sources by their names in the root of the image; files that may be executed."""
