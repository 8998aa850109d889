"""One question to AWS, asked as boto3 asks it: its credentials, its endpoints, its signature.

Once, without a second try, and with a limit on what waits for the network. What the answer means
is for checks to say. No credential is put into a text.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from simulator.doctor import web
from simulator.doctor.host import (
    NETWORK_SECONDS,
    AwsAnswer,
    NetworkNotAsked,
    NotCalled,
    Unreachable,
)

_Answer = TypeVar("_Answer")

_METADATA_ENDPOINTS = ("ec2_metadata_service_endpoint", "ec2_metadata_service_endpoint_mode")
"""botocore's names of what leads to another metadata service."""


class Aws:
    """The clients of one machine, made when they are first asked. Thread-safe."""

    def __init__(
        self, *, network: bool, seconds: float | None = None, knows_instance: bool = True
    ) -> None:
        """`seconds` is for each wait.

        Without `knows_instance` only a metadata service that is configured gives credentials.
        """
        self._network = network
        self._seconds = NETWORK_SECONDS if seconds is None else seconds
        self._knows_instance = knows_instance
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}

    def ask(
        self, service: str, operation: str, members: Mapping[str, Any], region: str
    ) -> AwsAnswer:
        """The answer. Raises NotCalled, Unreachable, NetworkNotAsked."""
        if not self._network:
            raise NetworkNotAsked("AWS is asked with --network only")
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        with self._lock:
            client = self._client(service, region)
        asked = getattr(client, xform_name(operation))
        who = web.where(client.meta.endpoint_url)
        before = time.time()
        try:
            result = within(self._seconds, lambda: asked(**members))
        except ClientError as error:
            return _answer(error.response, before)
        except TimeoutError as error:
            raise Unreachable(f"{who} did not answer within {self._seconds:g} seconds") from error
        except (BotoCoreError, ResponseParserError, OSError, ValueError) as error:
            raise _said(error, who) from error
        return _answer(result, before)

    def _client(self, service: str, region: str) -> Any:
        """Raises NotCalled."""
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        if (service, region) in self._clients:
            return self._clients[service, region]
        try:
            session = self._signed_in()
            client = session.create_client(
                service,
                region_name=region,
                config=Config(
                    connect_timeout=self._seconds,
                    read_timeout=self._seconds,
                    retries={"total_max_attempts": 1},
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise NotCalled(f"boto3 says `{error}`") from error
        self._clients[service, region] = client
        return client

    def _signed_in(self) -> Any:
        """A session whose credentials have been looked for, which may ask the metadata service."""
        from botocore.session import Session

        if self._session is None:
            session = Session()
            resolver = session.get_component("credential_provider")
            if not self._knows_instance and not _is_metadata_configured(session):
                resolver.remove("iam-role")
            self._session = session
        try:
            found = within(self._seconds, self._session.get_credentials)
        except TimeoutError as error:
            raise NotCalled(
                f"whoever is to give credentials did not answer within {self._seconds:g} seconds"
            ) from error
        if found is None:
            raise NotCalled("boto3 says `Unable to locate credentials`")
        return self._session


def _is_metadata_configured(session: Any) -> bool:
    return any(session.get_config_variable(name) for name in _METADATA_ENDPOINTS)


def _answer(response: Mapping[str, Any], before: float) -> AwsAnswer:
    after = time.time()
    about, error = response["ResponseMetadata"], response.get("Error", {})
    is_refused = "Error" in response
    return AwsAnswer(
        status=about["HTTPStatusCode"],
        headers={name.lower(): value for name, value in about.get("HTTPHeaders", {}).items()},
        members={}
        if is_refused
        else {name: value for name, value in response.items() if name != "ResponseMetadata"},
        code=str(error.get("Code") or "an error without a code") if is_refused else "",
        message=str(error.get("Message") or "") if is_refused else "",
        before=before,
        after=after,
    )


def _said(error: Exception, who: str) -> NotCalled | Unreachable:
    """What became of a question that has no answer, without what may be secret in an address."""
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    if isinstance(error, ResponseParserError):
        return Unreachable(f"{who} answers what is no answer of AWS")
    if isinstance(error, exceptions.SSLError):
        return Unreachable(f"{who} cannot be asked (its certificate, or TLS)")
    if isinstance(error, (exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError)):
        return Unreachable(f"{who} did not answer in time")
    if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError, OSError)):
        return Unreachable(f"{who} cannot be asked ({type(error).__name__})")
    return NotCalled(f"boto3 says `{error}`")


def within(seconds: float, question: Callable[[], _Answer]) -> _Answer:
    """What it answers, or raises. Raises TimeoutError; then it is left to itself.

    A name is looked up without a limit of botocore's own.
    """
    answers: SimpleQueue[tuple[_Answer | None, Exception | None]] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put((question(), None))
        except Exception as error:  # noqa: BLE001  # It is raised where it was asked.
            answers.put((None, error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # Without an error there is one.
