"""The KMS inside moto: Decrypt and GenerateDataKey are answered by `KmsFake`, the rest by moto.

moto's models are untouched. Its response class is replaced by a thin subclass while the context
manager is open. Beside the two operations it corrects what would make them wrong: policies are
checked when CreateKey, PutKeyPolicy and ReplicateKey set them, Recipient is refused where it is
not simulated, and the other operations refuse what real KMS refuses (`kms_fake.neighbours`) before
moto is asked, or `kms_fake.neighbour_answers` where moto would answer wrongly.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from moto import mock_aws
from moto.core.utils import camelcase_to_underscores
from moto.kms import urls
from moto.kms.models import kms_backends
from moto.kms.responses import KmsResponse

from kms_fake import neighbours, request_model, wire
from kms_fake.beside import as_object, check_key_policy, check_no_replica, refuse_recipient
from kms_fake.cached import cached_property
from kms_fake.callers import access_key_of
from kms_fake.errors import REQUEST_ID_HEADER, RULE_HEADER, KmsRefusal
from kms_fake.fake import KmsFake
from kms_fake.keys import KmsKey, MotoKeys, NoSuchKey
from kms_fake.lockout import check_lockout
from kms_fake.metadata import corrected
from kms_fake.neighbour_answers import ANSWERS
from kms_fake.neighbour_request import NeighbourRequest
from kms_fake.record import BY_MOTO, Origin, Refused
from kms_fake.shapes import Operation

_PATH = "{0}/$"
_ATTESTED = frozenset(operation.value for operation in Operation)


class AttestedKmsResponse(KmsResponse):  # type: ignore[misc]  # moto ships no types.
    """moto's handler of one KMS request, with the attested operations answered by `fake`."""

    fake: ClassVar[KmsFake]
    neighbour: NeighbourRequest
    """The request, if it is to another operation than the two."""
    _kept = False
    """Whether the fake has recorded this call itself."""

    @cached_property
    def _origin(self) -> Origin:
        return Origin(
            access_key=self.get_access_key(),
            request_id=str(uuid.uuid4()),
            user_agent=self.headers.get("User-Agent"),
            body_length=len(self._raw_body()),
        )

    def get_access_key(self) -> str:
        """The request's access key; moto's own sees those of 20 characters only."""
        return access_key_of(self.headers) or str(super().get_access_key())

    def get_current_account(self) -> str:
        """moto's own, but that of the caller for one whom the fake was given."""
        listed = self.fake.callers.get(self.get_access_key())
        account: str = listed.principal.account if listed else super().get_current_account()
        return account

    def call_action(self) -> Any:
        """Answer the request; a refusal becomes KMS's JSON error, and its rule a header."""
        members = wire.decode_json(self._raw_body())
        by: KmsRefusal | Refused | None
        try:
            operation = self._get_action()
            given = as_object(members)
            refuse_recipient(operation, given)
            if operation not in _ATTESTED:
                self.neighbour = self._judged(operation, given)
            status, headers, body = super().call_action()
            by = _refusal_by_moto(int(status), body)
        except KmsRefusal as refusal:
            by = refusal
            status, body = refusal.http_status, wire.encode_refusal(refusal).decode()
            headers = {**self.response_headers, "status": str(status)}
        if by is not None:
            headers[RULE_HEADER] = by.rule
        headers[REQUEST_ID_HEADER] = self._origin.request_id
        if not self._kept:
            self.fake.note(
                self._get_action(),
                members,
                account=self.current_account,
                region=self.region,
                origin=self._origin,
                by=by,
            )
        return status, headers, body

    def decrypt(self) -> str:
        """Decrypt, by the rules of this package."""
        return self._attested(Operation.DECRYPT)

    def generate_data_key(self) -> str:
        """GenerateDataKey, by the rules of this package."""
        return self._attested(Operation.GENERATE_DATA_KEY)

    def describe_key(self) -> str:
        """moto's own, with the metadata corrected."""
        return self._with_metadata("KeyMetadata", super().describe_key(), self.region)

    def rotate_key_on_demand(self) -> str:
        """moto's own, which rotates nothing."""
        super().rotate_key_on_demand()
        if self.neighbour.key is not None:
            self.neighbour.key.rotate()
        return self._with_arn("{}")

    def schedule_key_deletion(self) -> str:
        """moto's own, whose KeyId is what the caller called the key."""
        days = self.neighbour.members.get("PendingWindowInDays", 30)
        more = {"KeyState": "PendingDeletion", "PendingWindowInDays": days}
        return self._with_arn(super().schedule_key_deletion(), **more)

    def cancel_key_deletion(self) -> str:
        """moto's own, whose KeyId is what the caller called the key."""
        return self._with_arn(super().cancel_key_deletion())

    def replicate_key(self) -> str:
        """moto's own, which replaces a key that is there and forgets the replica's own members.

        Without Policy "AWS KMS attaches the default key policy", whatever that of the primary key
        is, and tags are not shared either ("ReplicateKey", AWS KMS API Reference, documented).
        """
        policy = self._get_param("Policy")
        region = str(self._get_param("ReplicaRegion"))
        key_id = self.kms_backend.get_key_id(str(self._get_param("KeyId")))
        self._check_new_policy(region, key_id)
        check_no_replica(MotoKeys(self.current_account, region), key_id)
        answer: str = super().replicate_key()
        backend = kms_backends[self.current_account][region]
        backend.update_key_description(key_id, self._get_param("Description") or "")
        default: str = backend.keys[key_id].generate_default_policy()
        members = json.loads(answer)
        members["ReplicaPolicy"] = default if policy is None else policy
        backend.put_key_policy(key_id, members["ReplicaPolicy"])
        tags = self._get_param("Tags") or []
        backend.tag_resource(key_id, {tag["TagKey"]: tag["TagValue"] for tag in tags})
        members["ReplicaTags"] = tags
        # Not shared properties ("Multi-Region keys in AWS KMS"), but moto's copy shares them.
        backend.keys[key_id].grants, backend.keys[key_id].aliases = {}, {}
        if self.neighbour.key is not None:
            replica = MotoKeys(self.current_account, region).named(key_id)
            self.neighbour.key.share_materials(replica)
        return self._with_metadata("ReplicaKeyMetadata", json.dumps(members), region)

    def create_key(self) -> str:
        """moto's own, with a policy that this KMS can enforce."""
        self._check_new_policy(self.region)
        return self._with_metadata("KeyMetadata", super().create_key(), self.region)

    def put_key_policy(self) -> str:
        """moto's own, with a policy that this KMS can enforce."""
        self._check_new_policy(self.region, str(self._get_param("KeyId")))
        answer: str = super().put_key_policy()
        return answer

    def _validate_cmk_id(self, key_id: str) -> None:
        """moto's own, which does not know KMS's form of multi-Region key ids: mrk-, 32 digits."""
        if key_id not in self.kms_backend.keys:
            super()._validate_cmk_id(key_id)

    def _check_new_policy(self, region: str, key_id: str | None = None) -> None:
        """Refuse a policy that this KMS cannot enforce, or that locks out who sets it."""
        policy = self._get_param("Policy")
        if policy is None:
            return
        check_key_policy(policy)
        if self._get_param("BypassPolicyLockoutSafetyCheck") is True:
            return
        key = MotoKeys(self.current_account, self.region).named(key_id) if key_id else None
        if not isinstance(key, NoSuchKey):  # Else moto says that there is no such key.
            check_lockout(
                policy,
                caller=self.fake.caller(self.get_access_key(), self.current_account, self.region),
                region=region,
                now_ms=self.fake.now_ms(),
                key=key,
            )

    def _get_param(self, param_name: str, if_none: Any = None) -> Any:
        value = super()._get_param(param_name, if_none)
        if param_name == "PolicyName" and value is None:
            return "default"  # "PutKeyPolicy", AWS KMS API Reference.
        return value

    def _judged(self, operation: str, members: Mapping[str, object]) -> NeighbourRequest:
        """The request, if nothing is wrong with it. Raises KmsRefusal."""
        store = MotoKeys(self.current_account, self.region)
        request = NeighbourRequest(operation, members, store)
        refused = neighbours.refusal(request)
        if refused is not None:
            raise refused
        return request

    def _with_metadata(self, member: str, answer: str, region: str) -> str:
        members = json.loads(answer)
        key = MotoKeys(self.current_account, region).named(members[member]["KeyId"])
        if isinstance(key, KmsKey):
            members[member] = corrected(members[member], key)
        return json.dumps(members)

    def _with_arn(self, answer: str, **more: Any) -> str:
        key = self.neighbour.key
        return json.dumps({**json.loads(answer), **more, **({"KeyId": key.arn} if key else {})})

    def _attested(self, operation: Operation) -> str:
        self._kept = True
        answer = self.fake.answer(
            operation.value,
            wire.decode_members(operation, self._raw_body()),
            account=self.current_account,
            region=self.region,
            origin=self._origin,
        )
        return wire.encode_answer(answer).decode()

    def _raw_body(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else str(self.body).encode()


def _refusal_by_moto(status: int, body: object) -> Refused | None:
    """moto's own refusal of an operation that this package leaves to it; None for an answer."""
    if status < 400:
        return None
    error = wire.decode_json(str(body).encode())
    members = error if isinstance(error, dict) else {}
    message = members.get("message", members.get("Message", ""))
    return Refused(BY_MOTO, str(members.get("__type", status)), str(message), status)


def _answered(response: AttestedKmsResponse) -> str:
    answer = ANSWERS[response.neighbour.operation]
    return wire.encode_answer(answer(response.neighbour)).decode()


# moto finds the method of an operation by its name.
for _operation in ANSWERS:
    setattr(AttestedKmsResponse, camelcase_to_underscores(_operation), _answered)

_OPERATIONS = {
    *(camelcase_to_underscores(operation) for operation in ANSWERS),
    *(
        name
        for name, member in vars(KmsResponse).items()
        if not name.startswith("_") and callable(member)
    ),
}


def is_operation(name: str) -> bool:
    """Whether moto or this package answers the operation `name`.

    moto itself would call any method of its response class by name.
    """
    return request_model.is_operation(name) and camelcase_to_underscores(name) in _OPERATIONS


def response_class(fake: KmsFake) -> type[AttestedKmsResponse]:
    """The response class that answers with `fake`."""
    return type("AttestedKmsResponse", (AttestedKmsResponse,), {"fake": fake})


@contextmanager
def mock_attested_kms(fake: KmsFake) -> Iterator[KmsFake]:
    """`moto.mock_aws` with `fake` as its KMS: boto3 clients made within reach it.

    IAM and STS refuse the limits that moto would forget (`kms_fake.iam_front`). Nests inside an
    outer `mock_aws`; what was registered before is restored.
    """
    from moto.iam import urls as iam_urls
    from moto.sts import urls as sts_urls

    from kms_fake.iam_front import LimitedIamResponse
    from kms_fake.sts_front import sts_response_class

    handlers: dict[str, tuple[Any, Any]] = {
        "kms": (urls, response_class(fake)),
        "iam": (iam_urls, LimitedIamResponse),
        "sts": (sts_urls, sts_response_class(fake)),
    }
    before = {name: module.url_paths[_PATH] for name, (module, _) in handlers.items()}
    with mock_aws():
        for module, handler in handlers.values():
            module.url_paths[_PATH] = handler.dispatch
        try:
            yield fake
        finally:
            for name, (module, _) in handlers.items():
                module.url_paths[_PATH] = before[name]
