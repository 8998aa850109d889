"""The host proxy: a dumb pipe from the enclave's vsock to AWS KMS, with the parent's credentials.

An enclave has no network, so its parent calls KMS for it. A frame {"version": 1, "operation":
"Decrypt", "members": {...}} becomes one call of boto3's KMS client with exactly these members:
nothing added, renamed or repaired. The answer is the response's members, or an error: kind `kms`
with code, message and HTTP status as KMS gave them, `client` with what boto3 raised before or
instead of an answer, `protocol` for a frame that is no such request. It knows no enclave and no
attestation, and it is not trusted with plaintext: that is what Recipient is for.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from scenarios.workload import messages, service, transport
from scenarios.workload.messages import AnswerError, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CLIENT_CONFIG = Config(
    connect_timeout=10,
    read_timeout=30,
    # One attempt: a retry would hide the first error from the enclave, and by the time it is sent
    # the attestation document has aged.
    retries={"mode": "standard", "total_max_attempts": 1},
)


class KmsPipe:
    """Sends requests to KMS by a boto3 client, which is safe to share between threads."""

    def __init__(self, region: str | None, endpoint_url: str | None) -> None:
        self._client: Any = boto3.client(
            "kms", region_name=region, endpoint_url=endpoint_url, config=CLIENT_CONFIG
        )
        self._methods = {
            operation: method
            for method, operation in self._client.meta.method_to_api_mapping.items()
        }

    def handle(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The members of KMS's response; raises `AnswerError`."""
        fields = messages.Fields(request)
        fields.check_version()
        operation = fields.take("operation", str)
        members = fields.take("members", dict)
        fields.end()
        if operation not in self._methods:
            raise AnswerError(
                Kind.PROTOCOL, "UnknownOperation", f"KMS has no operation {operation!r:.80}"
            )
        try:
            response = getattr(self._client, self._methods[operation])(**members)
        except ClientError as error:
            raise _kms_error(error) from error
        except (
            Exception
        ) as error:  # boto3 also lets ValueError and plain Exceptions of parsers out.
            raise AnswerError(Kind.CLIENT, type(error).__name__, str(error)) from error
        # ResponseMetadata is boto3's, not KMS's.
        return {k: _to_wire(v) for k, v in response.items() if k != "ResponseMetadata"}


def _kms_error(error: ClientError) -> AnswerError:
    details = error.response["Error"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return AnswerError(Kind.KMS, details.get("Code") or "", details.get("Message") or "", status)


def _to_wire(value: Any) -> Any:
    """`value` with its times as ISO 8601 text, the one type of responses that frames lack."""
    match value:
        case dt.datetime():
            return value.isoformat()
        case dict():
            return {key: _to_wire(item) for key, item in value.items()}
        case list():
            return [_to_wire(item) for item in value]
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program until it is ended; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scenarios.workload.kms_proxy_host",
        description="The reference host proxy: passes KMS requests from a vsock port to AWS KMS, "
        "and everything that KMS says back. Prints 'ready' when it listens.",
        epilog=f"With {transport.FABRIC_VARIABLE}=DIR vsock is sockets in DIR.",
    )
    parser.add_argument(
        "--port", type=service.port, default=8000, help="vsock port for requests (8000)"
    )
    parser.add_argument("--region", help="AWS region (default: as the AWS SDKs find it)")
    parser.add_argument("--endpoint-url", help="of KMS (default: as the AWS SDKs find it)")
    options = parser.parse_args(arguments)
    return service.run(
        "kms_proxy_host", partial(_serve, options.port, options.region, options.endpoint_url)
    )


def _serve(port: int, region: str | None, endpoint_url: str | None) -> NoReturn:
    try:
        pipe = KmsPipe(region, endpoint_url)
    except (BotoCoreError, ValueError) as error:
        raise service.StartError(
            f"no KMS client: {error} Check --region, --endpoint-url and the AWS configuration"
        ) from error
    with transport.listen(port, fabric_cid=transport.PARENT_CID) as listener:
        service.serve(listener, pipe.handle)


if __name__ == "__main__":
    sys.exit(main())
