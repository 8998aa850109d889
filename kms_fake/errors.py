"""The one exception of this package's operations: KMS says no."""

from __future__ import annotations

from typing import Any

REQUEST_ID_HEADER = "x-amzn-requestid"
RULE_HEADER = "x-attested-kms-rule"
"""The header of a refusal's answer that names the rule. The body is AWS's and never does."""


def our_text(found: str, rule: str) -> str:
    """A message for what was found where the real text is unknown, marked so at its end."""
    return f"{found} [attested-kms: real text unknown, {rule}]"


class KmsRefusal(Exception):
    """A refusal as a caller of KMS gets it.

    `exception` is the AWS type (`ValidationException`), `message` the text (may be empty, as that
    of InvalidCiphertextException is), `rule` the id of the row of `kms_fake.rules` that refused.
    """

    def __init__(self, exception: str, message: str, http_status: int, rule: str) -> None:
        super().__init__(f"{exception}: {message}" if message else exception)
        self.exception = exception
        self.message = message
        self.http_status = http_status
        self.rule = rule

    def body(self) -> dict[str, Any]:
        """The JSON body: `__type` and the message.

        AccessDeniedException spells it `Message` (aws-nitro-enclaves-sdk-c, issue 157), the
        others `message` (inferred); an empty one is left out (LocalStack's snapshots).
        """
        member = "Message" if self.exception == "AccessDeniedException" else "message"
        return {"__type": self.exception, **({member: self.message} if self.message else {})}
