"""KMS as the parent instance reaches it with its role, for what scenarios ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from real_hw.actions import Actions, Call, CallRefused
from real_hw.settle import Settling
from scenarios.target import KmsError, Members, RawAnswer, Result

_WHY = "the scenario's own request"
_API = "AWS KMS API Reference"


class HardwareKms:
    """Sends what scenarios send, in one attempt each, and believes answers once they settle.

    Raises ActionFailed where there is no answer, NotSent where boto3 sends nothing.
    """

    def __init__(self, actions: Actions, settling: Settling) -> None:
        self._actions = actions
        self._settling = settling

    def call(self, operation: str, members: Members) -> Result | KmsError:
        """Send one request by boto3, exactly as given."""
        call = Call("kms", operation, members, _WHY, _API, attempts=1)
        return self._settling.believed(lambda: self._answer(call), operation, members)

    def send(self, operation: str, members: Mapping[str, Any]) -> Result | KmsError:
        """Send the JSON of `members` as it stands."""
        call = Call("kms", operation, members, _WHY, _API, attempts=1, as_it_stands=True)
        return self._settling.believed(lambda: self._answer(call), operation, members)

    def raw(self, operation: str, members: Members) -> RawAnswer:
        """Send as `call` does, and give the answer as it came."""
        came: list[RawAnswer] = []
        call = Call("kms", operation, members, _WHY, _API, attempts=1, raw=came.append)

        def ask() -> RawAnswer:
            self._answer(call)
            return came[-1] if came else RawAnswer(200, "{}")

        return self._settling.believed(ask, operation, members)

    def _answer(self, call: Call) -> Result | KmsError:
        try:
            return Result(self._actions.call(call))
        except CallRefused as error:
            return KmsError(error.code, error.message, error.http_status)
