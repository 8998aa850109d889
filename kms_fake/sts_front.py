"""STS inside moto, which is right about everybody but the callers that the fake knows beside it.

moto says that an access key which it did not make is the user `moto`. GetCallerIdentity is how
people find out who they are, so it must say the ARN that a denial of KMS says.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, ClassVar, NoReturn

from moto.core.responses import ActionResult
from moto.sts.responses import TokenResponse

from kms_fake.callers import access_key_of, account_of_access_key
from kms_fake.fake import KmsFake
from kms_fake.iam_front import refuse_dropped, refuse_operation
from kms_fake.principals import Principal


class CallerIdentityResponse(TokenResponse):  # type: ignore[misc]  # moto ships no types.
    """moto's handler of one STS request, with the callers of `fake`."""

    fake: ClassVar[KmsFake]

    def get_caller_identity(self) -> Any:
        """moto's own for users and sessions that it made; else who the fake says it is.

        Who calls is documented ("GetCallerIdentity", AWS STS API Reference). The UserId is the
        caller's aws:userid, or made up in AWS's form, the same one each time.
        """
        access_key = self.get_access_key()
        if access_key not in self.fake.callers and self._is_known:
            return super().get_caller_identity()
        caller = self.fake.caller(access_key, self.current_account, self.region)
        principal = caller.principal
        (identifier,) = caller.context.get("aws:userid") or (user_id(principal),)
        return ActionResult(
            {"UserId": identifier, "Account": principal.account, "Arn": principal.arn}
        )

    def assume_role(self) -> Any:
        """moto's own, which keeps of the limits Policy alone."""
        refuse_dropped(self, "AssumeRole")
        return super().assume_role()

    def assume_role_with_saml(self) -> Any:
        """moto's own, which keeps no limits."""
        refuse_dropped(self, "AssumeRoleWithSAML")
        return super().assume_role_with_saml()

    def assume_role_with_web_identity(self) -> Any:
        """moto's own, which keeps of the limits Policy alone."""
        refuse_dropped(self, "AssumeRoleWithWebIdentity")
        return super().assume_role_with_web_identity()

    def get_federation_token(self) -> NoReturn:
        """Refused: a federated user has what both its session policies and the caller's allow.

        Without session policies that is nothing ("GetFederationToken", AWS STS API Reference,
        documented). The credentials of moto's answer are the default caller's.
        """
        refuse_operation("GetFederationToken", "the credentials would allow too much")

    def get_session_token(self) -> Any:
        """moto's own for the default caller, whose credentials those of the answer are too.

        Anybody else's would not be theirs: they give "the same permissions" ("GetSessionToken",
        AWS STS API Reference, documented).
        """
        if self._is_known:
            refuse_operation("GetSessionToken", "the credentials would be another caller's")
        return super().get_session_token()

    @property
    def _is_known(self) -> bool:
        """Whether the request is not the default caller's."""
        access_key = self.get_access_key()
        return access_key in self.fake.callers or account_of_access_key(access_key) is not None

    def get_access_key(self) -> str:
        """The request's access key; moto's own sees those of 20 characters only."""
        return access_key_of(self.headers) or str(super().get_access_key())


def user_id(principal: Principal) -> str:
    """A unique id in the form of "IAM identifiers" (IAM User Guide, documented)."""
    if principal.arn == principal.account_arn:
        return principal.account
    digest = hashlib.sha256(principal.principal_arn.encode()).digest()
    unique = base64.b32encode(digest).decode()[:17]
    if principal.arn == principal.principal_arn:
        return f"AIDA{unique}"
    return f"AROA{unique}:{principal.arn.rsplit('/', 1)[-1]}"


def sts_response_class(fake: KmsFake) -> type[CallerIdentityResponse]:
    """The response class that answers with `fake`."""
    return type("CallerIdentityResponse", (CallerIdentityResponse,), {"fake": fake})
