"""The KMS keys of a run: made, used by the parent instance, and got rid of.

A key has the run's tag and description and no alias. KMS deletes none at once: it is disabled and
scheduled for deletion after the shortest time that KMS allows (AWS KMS API Reference). Equal
policies get one key within a run, for each costs money and time to settle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from real_hw.actions import ActionFailed, Actions, Call, CallRefused
from real_hw.aws import Caller
from real_hw.permissions import RUN_TAG
from real_hw.settings import DELETION_DAYS, Settings
from real_hw.settle import Settling
from real_hw.undo import Entry, Ledger
from scenarios.target import Members, Statement
from scenarios.target_parts import key_policy

_API = "AWS KMS API Reference"
PENDING = "PendingDeletion"
DISABLED = "Disabled"
NOT_YET = "NotFoundException"
"""Of a key that is there: the server that answers has not heard of it."""
_ATTEMPTS = 30
_LOOKS = 4
_LOOKS_FOR_KEY = 10
_TAGGING_API = "Resource Groups Tagging API Reference"


def id_of(arn: str) -> str:
    """The key's id in its ARN."""
    return arn.rpartition("/")[2]


class HardwareKey:
    """A key in KMS."""

    def __init__(self, arn: str, keys: Keys) -> None:
        self.arn = arn
        self._keys = keys

    def encrypt(self, plaintext: bytes, context: Mapping[str, str] | None = None) -> bytes:
        """A CiphertextBlob of `plaintext`."""
        return self._keys.encrypt(self.arn, plaintext, context or {})

    def disable(self) -> None:
        """Disable the key."""
        self._keys.disable(self.arn)


class Keys:
    """The keys of one run."""

    def __init__(
        self,
        actions: Actions,
        settings: Settings,
        ledger: Ledger,
        settling: Settling,
        caller: Caller,
    ) -> None:
        self._actions = actions
        self._settings = settings
        self._ledger = ledger
        self._settling = settling
        self._caller = caller
        self._by_policy: dict[str, HardwareKey] = {}
        self._shared: set[str] = set()
        self.made: list[str] = []
        """The ARNs of all."""

    def key(self, statements: Sequence[Statement]) -> HardwareKey:
        """A key with the administrator statement and `statements`."""
        # The role stands beside the root user: with the latter alone IAM decides, whose conditions
        # on the run's tag may take minutes to be met (see `real_hw.permissions`).
        policy = key_policy([self._caller.account_root, self._caller.arn], statements)
        if policy in self._by_policy:
            key = self._by_policy[policy]
            self._shared.add(key.arn)
            return key
        key = self._by_policy[policy] = HardwareKey(self._create(policy), self)
        return key

    def encrypt(self, arn: str, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """A CiphertextBlob; asked for anew while KMS does not know the key everywhere."""
        members = {"KeyId": arn, "Plaintext": plaintext, "EncryptionContext": dict(context)}
        call = Call(
            "kms",
            "Encrypt",
            members,
            "the ciphertext that the scenario has decrypted",
            _API,
            {"CiphertextBlob": b"ciphertext", "KeyId": arn},
        )
        blob: bytes = _patiently(self._actions, call)["CiphertextBlob"]
        self._settling.encrypted(blob, arn)
        return blob

    def disable(self, arn: str) -> None:
        """Disable the key; KMS knows it when this returns."""
        if arn in self._shared:
            raise RuntimeError("others have this key too: give the one to disable its own policy")
        self._by_policy = {policy: key for policy, key in self._by_policy.items() if key.arn != arn}
        self._actions.call(_disabling(arn, "the scenario wants a disabled key"))
        self._settling.changed(arn)
        self._until(arn, DISABLED)
        settled = self._settling.settled(lambda: self._state(arn, DISABLED), f"{arn} is disabled")
        if settled != DISABLED:
            raise ActionFailed(f"{arn} was disabled, and KMS says of it: {settled}")

    def states(self) -> list[tuple[str, str]]:
        """Each key that was made and its state, for the end of a run."""
        return [(arn, self._final_state(arn)) for arn in self.made]

    def _final_state(self, arn: str) -> str:
        try:
            return self._until(arn, PENDING)
        except CallRefused as error:
            return f"in an unknown state ({error})"

    def _until(self, arn: str, expected: str) -> str:
        """The state, asked for anew while KMS does not tell of the change."""
        for _ in range(_ATTEMPTS):
            state = self._state(arn, expected)
            if state == expected:
                break
            self._actions.wait(1.0, f"until KMS tells that the key is {expected}")
        return state

    def _create(self, policy: str) -> str:
        place = f"{self._settings.region}:{self._caller.account}"
        stand_in = f"arn:{self._caller.partition}:kms:{place}:key/{len(self.made):08d}"
        call = Call(
            "kms",
            "CreateKey",
            {
                "Policy": policy,
                "Description": f"attested-kms {self._settings.run_id}",
                "Tags": [{"TagKey": RUN_TAG, "TagValue": self._settings.run_id}],
            },
            "a key with the policy that a scenario is about",
            _API,
            {"KeyMetadata": {"Arn": stand_in}},
            attempts=1,
        )
        with self._ledger.making("kms-key", self._get_rid_of) as entry:
            try:
                made: str = self._actions.call(call)["KeyMetadata"]["Arn"]
            except CallRefused as error:
                entry.not_made()
                raise ActionFailed(
                    f"KMS makes no key: {error}. Its policy would be {policy}"
                ) from error
            entry.made(made)
            self.made.append(made)
        self._settling.changed(made)
        return made

    def _state(self, arn: str, stand_in: str) -> str:
        """KeyState, or the error of who does not know the key yet."""
        call = Call(
            "kms",
            "DescribeKey",
            {"KeyId": arn},
            "what has become of the key",
            _API,
            {"KeyMetadata": {"KeyState": stand_in}},
        )
        try:
            state: str = self._actions.call(call)["KeyMetadata"]["KeyState"]
        except CallRefused as error:
            if error.code != NOT_YET:
                raise
            return NOT_YET
        return state

    def _get_rid_of(self, entry: Entry) -> None:
        """Disable the key and schedule its deletion; look for it if its making had no answer."""
        for arn in [entry.name] if entry.name is not None else self._unknown():
            schedule_deletion(self._actions, arn)

    def _unknown(self) -> list[str]:
        """Keys with the run's tag whose making had no answer; they are the run's from now on."""
        call = Call(
            "resourcegroupstaggingapi",
            "GetResources",
            {
                "TagFilters": [{"Key": RUN_TAG, "Values": [self._settings.run_id]}],
                "ResourceTypeFilters": ["kms:key"],
            },
            "whether a key was made although KMS did not answer",
            _TAGGING_API,
            {"ResourceTagMappingList": []},
        )
        for attempt in range(_LOOKS):
            if attempt:
                self._actions.wait(2.0, "until the tags of a key that was just made are known")
            told = self._actions.call(call)["ResourceTagMappingList"]
            found = [one["ResourceARN"] for one in told if one["ResourceARN"] not in self.made]
            if found:
                self.made += found
                return found
        return []


def schedule_deletion(actions: Actions, arn: str) -> None:
    """Disable a key and schedule its deletion. Raises ActionFailed if it is not scheduled."""
    # To be found disabled, should somebody cancel the deletion; a disabled one is no less deleted.
    with suppress(CallRefused):
        actions.call(_disabling(arn, "nobody is to use the key any more"))
    call = Call(
        "kms",
        "ScheduleKeyDeletion",
        {"KeyId": id_of(arn), "PendingWindowInDays": DELETION_DAYS},
        "the run's key goes after the shortest time that KMS allows; AWS bills nothing until then",
        _API,
        {"KeyId": arn, "KeyState": PENDING},
    )
    try:
        actions.call(call)
    except CallRefused as error:
        raise ActionFailed(
            f"the deletion of {arn} was not scheduled ({error}), so it stays and costs money"
        ) from error


def _disabling(arn: str, why: str) -> Call:
    # By its id, for there are KMS stand-ins that do not take the ARN here.
    return Call("kms", "DisableKey", {"KeyId": id_of(arn)}, why, _API)


def _patiently(actions: Actions, call: Call) -> Members:
    """The answer; a key that is not known everywhere yet is asked for again, with pauses."""
    for _ in range(_LOOKS_FOR_KEY):
        try:
            return actions.call(call)
        except CallRefused as error:
            refused = error
            if error.code not in {NOT_YET, "AccessDeniedException"}:
                break
            actions.wait(1.0, "until KMS knows the new key everywhere")
    raise ActionFailed(f"{call.operation} failed, which is for {call.why}: {refused}") from refused
