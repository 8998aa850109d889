"""KMS's safety check of a new key policy: whoever sets it must be able to set it again.

"The key policy must allow the calling principal to make a subsequent PutKeyPolicy request on the
KMS key", unless BypassPolicyLockoutSafetyCheck is true ("CreateKey", "PutKeyPolicy",
"ReplicateKey", AWS KMS API Reference, documented). Where the policy leaves it to the account, the
caller's identity policies must allow it (aws-samples/rds-snapshot-export-to-s3-pipeline, issue 8,
reported). Whether conditions are asked with the request as it is, is unknown: here they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.utilities.utils import get_partition

from kms_fake import other_refusals
from kms_fake.authorization import AccessRequest, assess
from kms_fake.policy import PolicyKind, parse_policy
from kms_fake.request_context import Surroundings

if TYPE_CHECKING:
    from kms_fake.callers import Caller
    from kms_fake.keys import KmsKey

_NEW_KEY_ID = "00000000-0000-4000-8000-000000000000"
"""Stands for the id of a key that is yet to be made; a policy cannot know it."""


def check_lockout(
    text: str, *, caller: Caller, region: str, now_ms: int, key: KmsKey | None = None
) -> None:
    """Refuse a key policy, `text`, that `caller` could not replace.

    `key` is the key as it is, None for one that is yet to be made, and `region` the Region that the
    policy is for. Raises KmsRefusal. The policy was taken by `kms_fake.beside.check_key_policy`.
    """
    account = caller.principal.account
    key_id = key.key_id if key else _NEW_KEY_ID
    request = AccessRequest(
        principal=caller.principal,
        action="kms:PutKeyPolicy",
        key_arn=f"arn:{get_partition(region)}:kms:{region}:{account}:key/{key_id}",
        key_account=account,
        context={},
        derive=Surroundings(caller, account, region, now_ms, key).values,
    )
    if assess(request, parse_policy(text, PolicyKind.KEY), caller.identity).denials:
        raise other_refusals.POLICY_LOCKOUT.refuse("")
