"""What a world was asked, in order: a file of JSON lines. Standard library only.

The calls of AWS are written by the world, commands by themselves, in processes of their own; each
line is appended at once. A line has a member `kind`:

    {"kind": "call", "service": "kms", "operation": "CreateKey", "members": {...}, "status": 200,
     "error": null}
    {"kind": "command", "words": ["nitro-cli", "build-enclave", ...], "process": 4711}
    {"kind": "ended", "process": 4711, "exit_code": 0}

Members are as they were sent, but for blobs and texts that may be secret: {"bytes": N}, of what
was sent in base64. A call that was cut has the status 0.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

NAME = "rehearsal.json"
"""A file of the machine's folder: where its commands write, and which of them fail."""
COMMAND = "rehearsed.pid"
"""Another one: the process id of the rehearsed command."""


def append(path: Path, entry: Mapping[str, object]) -> None:
    """Write a line. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, json.dumps(entry).encode() + b"\n")
    finally:
        os.close(descriptor)
