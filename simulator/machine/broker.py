"""The broker: the process that is the machine, as long as it has enclaves or is asked.

Started with the machine's folder by `simulator.nitro_cli.connection`. Of two started at once, one
gets the lock and the other ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from simulator.nitro_cli.places import MachineFolder


def serve(folder: MachineFolder) -> None:
    """Answer until told to stop."""
    with suppress(FileNotFoundError):
        folder.socket.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder.socket))
        listener.listen(64)
        while True:
            connection, _ = listener.accept()
            Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, connection.makefile("rwb") as stream:
        asked: dict[str, Any] = json.loads(stream.readline())
        if asked["command"] == "describe":
            stream.write(json.dumps({"answer": []}).encode() + b"\n")


def main() -> None:
    """`python -m simulator.machine.broker FOLDER`."""
    folder = MachineFolder(Path(sys.argv[1]))
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    serve(folder)


if __name__ == "__main__":
    main()
