"""An enclave program of aws-nsm-interface and Python's own sockets, blocking and under asyncio.

attest.py dial|dial-asyncio PORT KEY     attest to the public key in the file KEY,
                                         send the document to CID 3
attest.py listen|listen-asyncio PORT     accept one connection and answer what it says
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import socket
import sys
from pathlib import Path

import aws_nsm_interface

PARENT_CID = 3
# Python 3.14 has it in the module socket.
GET_LOCAL_CID = 0x7B9


def say(name: str, *values: object) -> None:
    # Somebody waits for each line on a pipe.
    print(name, *values, flush=True)


def say_address(name: str, address: tuple[int, int]) -> None:
    cid, port = address
    say(name, f"{ctypes.c_int32(cid).value}:{port}")


def attest(key: str) -> bytes:
    nsm = aws_nsm_interface.open_nsm_device()
    say("module_id", aws_nsm_interface.describe_nsm(nsm)["module_id"])
    with Path("/dev/vsock").open("rb", buffering=0) as device:
        answer = fcntl.ioctl(device, GET_LOCAL_CID, bytes(4))
    say("cid", int.from_bytes(answer, sys.byteorder))
    attested = aws_nsm_interface.get_attestation_doc(nsm, public_key=Path(key).read_bytes())
    aws_nsm_interface.close_nsm_device(nsm)
    document: bytes = attested["document"]
    say("document", len(document))
    return document


def vsock() -> socket.socket:
    return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)


def dial(document: bytes, port: int) -> None:
    with vsock() as parent:
        parent.connect((PARENT_CID, port))
        say_address("peer", parent.getpeername())
        parent.sendall(document)
        parent.shutdown(socket.SHUT_WR)
        with parent.makefile() as answer:
            say("answer", answer.read())


async def dial_asyncio(document: bytes, port: int) -> None:
    parent = vsock()
    parent.setblocking(False)
    await asyncio.get_running_loop().sock_connect(parent, (PARENT_CID, port))
    say_address("peer", parent.getpeername())
    reader, writer = await asyncio.open_connection(sock=parent)
    writer.write(document)
    writer.write_eof()
    say("answer", (await reader.read()).decode())
    writer.close()
    await writer.wait_closed()


def listen(port: int) -> None:
    with vsock() as listener:
        listener.bind((socket.VMADDR_CID_ANY, port))
        listener.listen()
        say_address("listening", listener.getsockname())
        accepted, (cid, _) = listener.accept()
        with accepted, accepted.makefile() as said:
            say("accepted", cid)
            say("heard", said.read())
            accepted.sendall(b"hello, parent")


async def listen_asyncio(port: int) -> None:
    with vsock() as listener:
        listener.setblocking(False)
        listener.bind((socket.VMADDR_CID_ANY, port))
        listener.listen()
        say_address("listening", listener.getsockname())
        accepted, (cid, _) = await asyncio.get_running_loop().sock_accept(listener)
        say("accepted", cid)
        reader, writer = await asyncio.open_connection(sock=accepted)
        say("heard", (await reader.read()).decode())
        writer.write(b"hello, parent")
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def main() -> None:
    match sys.argv[1:]:
        case ["dial", port, key]:
            dial(attest(key), int(port))
        case ["dial-asyncio", port, key]:
            asyncio.run(dial_asyncio(attest(key), int(port)))
        case ["listen", port]:
            listen(int(port))
        case ["listen-asyncio", port]:
            asyncio.run(listen_asyncio(int(port)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        if error.errno is None:
            raise
        say("errno", error.errno)
        sys.exit(3)
