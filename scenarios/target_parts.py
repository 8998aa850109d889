"""What targets have in common, be they real or not: the enclave program, key policies, KMS calls.

The enclave is spoken to as `scenarios.workload.enclave` is; how its control port is reached, and
what a refusal means, is each target's own. KMS is called by a boto3 client of the target's.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from botocore import xform_name

from scenarios.target import (
    KmsError,
    Members,
    Opened,
    Opener,
    PublicKeyForm,
    RawAnswer,
    RecipientMembers,
    Refused,
    Statement,
)
from scenarios.workload import messages

_ADMINISTRATION = (
    *("kms:Create*", "kms:Describe*", "kms:Enable*", "kms:Disable*", "kms:Get*", "kms:List*"),
    *("kms:Put*", "kms:Update*", "kms:ScheduleKeyDeletion", "kms:Encrypt"),
)
"""Managing and Encrypt; never Decrypt or GenerateDataKey."""
# What boto3 wants before it makes a request at all.
_REQUIRED: Mapping[str, Members] = {
    "Decrypt": {"CiphertextBlob": b"any"},
    "GenerateDataKey": {"KeyId": "any"},
}


class ProgramEnclave(ABC):
    """An enclave that runs `scenarios.workload.enclave`, as the contract's `Enclave`."""

    @abstractmethod
    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The result of one command. Raises messages.AnswerError."""

    @abstractmethod
    def _refusal(self, error: messages.AnswerError) -> KmsError:
        """The refusal of KMS, as the proxy passed it on. Raises if it is none of KMS."""

    @property
    def pcrs(self) -> Mapping[int, str]:
        """The PCRs of its attestation document, as the NSM tells them.

        Never those of describe-enclaves, which shows the image's in debug mode too.
        """
        answer = self._ask({"command": "describe"})
        return {int(index): digest.hex() for index, digest in answer["pcrs"].items()}

    def attest(
        self,
        *,
        public_key: PublicKeyForm = PublicKeyForm.SPKI,
        user_data: bytes | None = None,
        nonce: bytes | None = None,
    ) -> bytes:
        """A fresh attestation document."""
        request = {"user_data": user_data, "nonce": nonce, "public_key": public_key.value}
        document: bytes = self._ask({"command": "attest", **request})["document"]
        return document

    def run(
        self,
        operation: str,
        members: Members,
        *,
        recipient: RecipientMembers | None = None,
        send_recipient: bool = True,
        public_key: PublicKeyForm = PublicKeyForm.SPKI,
        opener: Opener = Opener.CMS,
    ) -> Opened | KmsError | Refused:
        """Call KMS from inside the enclave and open what comes back."""
        return self._run(
            {
                "command": "run",
                "operation": operation,
                "members": dict(members),
                "recipient": dict(recipient or {}),
                "send_recipient": send_recipient,
                "public_key": public_key.value,
                "opener": opener.value,
            }
        )

    def _run(self, request: Mapping[str, Any]) -> Opened | KmsError | Refused:
        try:
            answer = self._ask(request)
        except messages.AnswerError as error:
            return self._refusal(error)
        if answer["outcome"] == "opened":
            return Opened(answer["plaintext"], answer["response"])
        return Refused(answer["reason"], answer["detail"], answer["response"])


def key_policy(administrators: str | Sequence[str], statements: Sequence[Statement]) -> str:
    """The JSON of a key policy: the administrator statement, and the scenario's.

    `administrators` are the ARNs that the former names.
    """
    administrator = {
        "Sid": "Administrator",
        "Effect": "Allow",
        "Principal": {"AWS": administrators},
        "Action": list(_ADMINISTRATION),
        "Resource": "*",
    }
    return policy_text([administrator, *statements])


def policy_text(statements: Sequence[Statement]) -> str:
    """The JSON of a policy document of `statements`."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def ask(client: Any, operation: str, members: Members) -> dict[str, Any]:
    """The members of the response to a request by boto3. Raises as boto3 does."""
    response: dict[str, Any] = getattr(client, xform_name(operation))(**members)
    response.pop("ResponseMetadata", None)  # It is boto3's, not AWS's.
    return response


def send_as_it_stands(client: Any, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the JSON of `members` as it stands, instead of what boto3 would have made."""
    body = json.dumps(dict(members)).encode()

    def replace_body(params: dict[str, Any], **_: object) -> None:
        params["body"] = body

    with _heard(client, "before-call", operation, replace_body):
        return ask(client, operation, _REQUIRED[operation])


@contextmanager
def kept_raw(client: Any, operation: str, take: Callable[[RawAnswer], None]) -> Iterator[None]:
    """Within the context `take` gets each answer as it came, before boto3 reads it."""

    def keep(response_dict: Mapping[str, Any], **_: object) -> None:
        body = response_dict["body"].decode(errors="replace")
        take(RawAnswer(response_dict["status_code"], body))

    with _heard(client, "before-parse", operation, keep):
        yield


@contextmanager
def _heard(client: Any, event: str, operation: str, handler: Callable[..., None]) -> Iterator[None]:
    name = f"{event}.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register(name, handler)
    try:
        yield
    finally:
        client.meta.events.unregister(name, handler)
