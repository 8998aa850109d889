"""The one exception of this service: Systems Manager says no."""

from __future__ import annotations

from typing import Any


class SsmRefusal(Exception):
    """A refusal as a client gets it.

    `exception` is the AWS type (`InvalidInstanceId`), `message` the text (empty where the service
    model gives the type none), `rule` the id of the row of `simulator.systems_manager.rules`.
    """

    def __init__(self, exception: str, message: str, http_status: int, rule: str) -> None:
        super().__init__(f"{exception}: {message}" if message else exception)
        self.exception = exception
        self.message = message
        self.http_status = http_status
        self.rule = rule

    def body(self) -> dict[str, Any]:
        """The JSON body: `__type` and the message.

        Types of the service's model spell it `Message`, those of the protocol `message`.
        """
        member = "message" if self.exception.endswith("Exception") else "Message"
        return {"__type": self.exception, **({member: self.message} if self.message else {})}
