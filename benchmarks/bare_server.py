"""The floor of the KMS over HTTP: cheroot alone, which reads a request and sends fixed bytes.

`python bare_server.py LENGTH` prints its port, then answers every request with LENGTH bytes until
it is ended. Its settings are those of `kms_fake.http_front`, as far as they can cost time.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

from cheroot.wsgi import Server


def serve(length: int) -> None:
    """Serve on a free port of loopback until a signal ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # There is nothing to clean up or to tell.
    body = b"0" * length
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(length))]

    def application(
        environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", headers)
        return [body]

    server = Server(("127.0.0.1", 0), application, numthreads=32)
    server.prepare()
    print(server.bind_addr[1], flush=True)
    server.serve()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
