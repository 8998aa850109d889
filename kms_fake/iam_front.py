"""What moto's IAM and STS take and forget, though it would take rights away: refused, by name.

moto 5.2.5 keeps Policy of AssumeRole and the permissions boundaries of roles, which are evaluated
(`kms_fake.callers`). The members below it drops, so that a caller would be allowed too much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from moto.core.exceptions import ServiceException
from moto.iam.responses import IamResponse

_DROPPED: Mapping[str, Sequence[str]] = {
    "AssumeRole": ("PolicyArns", "Tags", "TransitiveTagKeys", "SourceIdentity"),
    "AssumeRoleWithSAML": ("Policy", "PolicyArns"),
    "AssumeRoleWithWebIdentity": ("PolicyArns",),
    "CreateUser": ("PermissionsBoundary",),
}


class NotKept(ServiceException):  # type: ignore[misc]  # moto ships no types.
    """What only takes away and would be forgotten. A limit of this fake, not of AWS."""

    code = "ValidationError"  # moto knows no other that both services have.


def refuse_dropped(response: Any, operation: str) -> None:
    """Refuse a request to IAM or STS of which moto would forget a limit. Raises NotKept."""
    for member in _DROPPED[operation]:
        if response._get_param(member):  # noqa: SLF001  # As moto's own handlers read members.
            raise NotKept(
                f"{member} of {operation} is not simulated, and without it the caller would be "
                "allowed too much; leave it out, or use a principals file "
                "[attested-kms: real AWS takes it]"
            )


def refuse_operation(operation: str, reason: str) -> NoReturn:
    """Refuse a request whose answer would let its caller do too much. Raises NotKept."""
    raise NotKept(
        f"{operation} is not simulated: {reason}; assume a role, or use a principals file "
        "[attested-kms: real AWS takes it]"
    )


class LimitedIamResponse(IamResponse):  # type: ignore[misc]  # moto ships no types.
    """moto's handler of one IAM request, which forgets no limit."""

    def create_user(self) -> Any:
        """moto's own, without a permissions boundary."""
        refuse_dropped(self, "CreateUser")
        return super().create_user()
