"""Calls of KMS in front of its fake: who may make them, and late changes.

The fake authorizes Decrypt and GenerateDataKey itself; the other operations it lets everybody do.
Here they take what real KMS asks: the key policy and the role's policies, or for what concerns no
key the latter alone ("Key policies in AWS KMS", documented; `kms_fake.authorization`). CreateKey
with Tags needs kms:TagResource too ("CreateKey", AWS KMS API Reference, documented).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Any

from moto.kms.models import kms_backends
from moto.utilities.utils import get_partition

from kms_fake import KmsFake
from kms_fake.actions import ACTIONS, KEY_OPERATIONS
from kms_fake.authorization import AccessRequest, Denial, assess, denial_text
from kms_fake.callers import Caller
from kms_fake.http_server import Answer
from kms_fake.keys import KmsKey, MotoKeys, header_key_id
from kms_fake.policy import PolicyKind, parse_policy
from kms_fake.request_context import Surroundings
from kms_fake.shapes import Operation
from simulator.rehearsal import errors
from simulator.rehearsal.asked import Asked
from simulator.rehearsal.late import AT_ONCE, CHANGES, LateChanges
from simulator.rehearsal.permissions import Decision, RolePolicy

_JUDGED_BY_FAKE = frozenset(operation.value for operation in Operation)
_NEW_KEY_ID = "00000000-0000-4000-8000-000000000000"
"""Stands for the id of a key that is yet to be made; a policy cannot know it."""
_CREATE = frozenset({"CreateKey"})
_OTHER_ACTIONS = {"ReEncrypt": ("ReEncryptFrom", "ReEncryptTo")}
_MEMBERS: Mapping[str, tuple[frozenset[str], str, object]] = {
    "kms:KeySpec": (_CREATE, "KeySpec", "SYMMETRIC_DEFAULT"),
    "kms:KeyUsage": (_CREATE, "KeyUsage", "ENCRYPT_DECRYPT"),
    "kms:KeyOrigin": (_CREATE, "Origin", "AWS_KMS"),
    "kms:MultiRegion": (_CREATE, "MultiRegion", False),
    "kms:BypassPolicyLockoutSafetyCheck": (
        _CREATE | {"PutKeyPolicy"},
        "BypassPolicyLockoutSafetyCheck",
        False,
    ),
    "kms:ScheduleKeyDeletionPendingWindowInDays": (
        frozenset({"ScheduleKeyDeletion"}),
        "PendingWindowInDays",
        30,
    ),
}
"""Condition keys: of which operations, by which member, and its default."""
_ORDER = (
    *(Denial.RESOURCE_EXPLICIT, Denial.IDENTITY_EXPLICIT, Denial.BOUNDARY_EXPLICIT),
    *(Denial.SESSION_EXPLICIT, Denial.NO_RESOURCE_ALLOW, Denial.NO_IDENTITY_ALLOW),
)

Forward = Callable[[], Answer]


class KeyCalls:
    """One account's calls of KMS, one at a time."""

    def __init__(self, fake: KmsFake, policy: RolePolicy, *, late: int) -> None:
        self._fake = fake
        self._policy = policy
        self._late = LateChanges(late)
        self._lock = Lock()

    def answer(self, asked: Asked, forward: Forward, request_id: str) -> tuple[Answer, bool]:
        """The answer, and whether it is that of a key as it was before a change."""
        caller = self._fake.caller(asked.access_key, region=asked.region)
        with self._lock:
            store = MotoKeys(caller.principal.account, asked.region)
            backend = kms_backends[caller.principal.account][asked.region]
            key = self._key(asked, store)
            if key is None or asked.operation in AT_ONCE:
                return self._change(asked, caller, key, backend, forward, request_id), False
            with self._late.used(backend, key.key_id) as is_late:
                seen = store.named(key.key_id)
                key = seen if isinstance(seen, KmsKey) else None
                # What is not there is for the fake to say.
                if key is not None:
                    refused = self._refused(asked, caller, key, request_id)
                    if refused is not None:
                        return refused, is_late
                return forward(), is_late

    def _change(
        self,
        asked: Asked,
        caller: Caller,
        key: KmsKey | None,
        backend: Any,
        forward: Forward,
        request_id: str,
    ) -> Answer:
        refused = self._refused(asked, caller, key, request_id)
        if refused is not None:
            return refused
        before = None
        if key is not None and asked.operation in CHANGES:
            before = self._late.before(backend.keys[key.key_id])
        answer = forward()
        if answer.status == 200 and asked.operation == "CreateKey":
            key_id = json.loads(answer.body)["KeyMetadata"]["KeyId"]
            self._late.created(backend.keys[key_id])
        elif answer.status == 200 and before is not None and key is not None:
            self._late.changed(key.key_id, before)
        return answer

    def _key(self, asked: Asked, store: MotoKeys) -> KmsKey | None:
        """The key that the request names, or that its ciphertext names."""
        name = asked.members.get("KeyId") or asked.members.get("TargetKeyId")
        if name is None and asked.operation == "Decrypt":
            name = _key_of_ciphertext(asked.members.get("CiphertextBlob"))
        found = store.named(name) if isinstance(name, str) else None
        return found if isinstance(found, KmsKey) else None

    def _refused(
        self, asked: Asked, caller: Caller, key: KmsKey | None, request_id: str
    ) -> Answer | None:
        if asked.operation in _JUDGED_BY_FAKE:
            return None
        for action in _actions(asked):
            text = self._denial(action, asked, caller, key)
            if text is not None:
                return errors.denied("kms", text, request_id)
        return None

    def _denial(self, action: str, asked: Asked, caller: Caller, key: KmsKey | None) -> str | None:
        """The message, None for what is allowed.

        Without a key: aws-ia/terraform-aws-control_tower_account_factory, issue 569
        (kms:CreateKey, with a resource), DataBiosphere/azul, pull request 5628 (kms:TagResource,
        without); both reported.
        """
        if action not in ACTIONS:
            return None
        surroundings = Surroundings(
            caller, caller.principal.account, asked.region, self._fake.now_ms(), key
        )
        context = dict(_request_keys(asked))
        if key is None:
            if asked.operation in KEY_OPERATIONS:
                return None  # There is no such key, which the fake says.
            is_tagged = action == "kms:TagResource"
            # "At a minimum, the permission must cover all KMS keys in the account and Region"
            # ("Managing KMS key tags with API operations", documented).
            resource = _any_key(caller, asked.region) if is_tagged else "*"
            decision = self._policy.decide(action, resource, context, surroundings.values)
            if decision is Decision.ALLOWED:
                return None
            explicit = decision is Decision.EXPLICIT_DENY
            denial = Denial.IDENTITY_EXPLICIT if explicit else Denial.NO_IDENTITY_ALLOW
            text = denial_text(denial, caller.principal, action, "*")
            return text.replace(" on resource: *", "") if is_tagged else text
        request = AccessRequest(
            principal=caller.principal,
            action=action,
            key_arn=key.arn,
            key_account=caller.principal.account,
            context=context,
            derive=surroundings.values,
        )
        policy = parse_policy(key.policy, PolicyKind.KEY)
        denials = assess(request, policy, caller.identity, key.grants).denials
        first = next((one for one in _ORDER if one in denials), next(iter(denials), None))
        return None if first is None else denial_text(first, caller.principal, action, key.arn)


def _any_key(caller: Caller, region: str) -> str:
    account = caller.principal.account
    return f"arn:{get_partition(region)}:kms:{region}:{account}:key/{_NEW_KEY_ID}"


def _actions(asked: Asked) -> Iterable[str]:
    names = _OTHER_ACTIONS.get(asked.operation, (asked.operation,))
    yield from (f"kms:{name}" for name in names)
    if asked.operation == "CreateKey" and asked.members.get("Tags"):
        yield "kms:TagResource"


def _request_keys(asked: Asked) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What the request itself says ("AWS KMS condition keys", documented, with its defaults)."""
    for key, (operations, member, default) in _MEMBERS.items():
        if asked.operation in operations:
            value = asked.members.get(member, default)
            yield key, (str(value).lower() if isinstance(value, bool) else str(value),)
    tags = asked.members.get("Tags")
    if isinstance(tags, list) and tags:
        for tag in tags:
            yield f"aws:RequestTag/{tag.get('TagKey')}", (str(tag.get("TagValue")),)
        yield "aws:TagKeys", tuple(str(tag.get("TagKey")) for tag in tags)


def _key_of_ciphertext(blob: object) -> str | None:
    try:
        return header_key_id(base64.b64decode(str(blob), validate=True))
    except (binascii.Error, ValueError):
        return None
