"""The KMS: one object that answers Decrypt and GenerateDataKey as the real service does.

It is the same under every front: inside `moto.mock_aws` (`kms_fake.moto_front`), over HTTP
(`kms_fake.http_front`), or called as an object. Keys, aliases and IAM live in moto; the rules are
the table of `kms_fake.rules`. It checks no request signature and encrypts nothing that must stay
secret: it is a test double.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.core import DEFAULT_ACCOUNT_ID

from kms_fake.call import Call, PlaintextForm, Settings
from kms_fake.callers import Caller, account_of_access_key, default_caller, known_caller
from kms_fake.chain import TrustedRoots
from kms_fake.envelope import seal
from kms_fake.errors import KmsRefusal
from kms_fake.keys import MotoKeys
from kms_fake.record import CallLog, CallRecord, Origin, Refused
from kms_fake.rules import RULES, Judge, Rule
from kms_fake.shapes import Operation


class PassedUnfit(RuntimeError):
    """The table of rules let a request pass that cannot be answered: a mistake in the table."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the rules let a request pass that {what}")


Clock = Callable[[], int]
"""Milliseconds since the Unix epoch."""

DEFAULT_REGION = "us-east-1"

NO_ORIGIN = Origin()
"""Of a call that no front got: a call of the object itself."""

_KEY_LENGTHS = {"AES_128": 16, "AES_256": 32}


def system_clock() -> int:
    """The machine's own time."""
    return time.time_ns() // 1_000_000


class KmsFake:
    """A KMS that trusts `roots` to attest enclaves.

    `settings` may be replaced at any time; `callers` are those known by their access key beside
    moto's IAM and STS, and before them; `default_caller`, if set, is who calls with an access key
    that is known to neither; `account` (12 digits) is whose such a request is. `last_refusal` is
    what the table refused last, with the rule that a caller is not told; `calls` are the last
    calls, whoever answered them. `rules` is the table; only a test of the table gives another.
    Calls may come from several threads at once.
    """

    def __init__(
        self,
        roots: Iterable[x509.Certificate],
        *,
        clock: Clock = system_clock,
        settings: Settings | None = None,
        account: str = DEFAULT_ACCOUNT_ID,
        rules: Iterable[Rule] = RULES,
    ) -> None:
        self.roots = TrustedRoots(roots)
        self.settings = settings or Settings()
        self.account = account
        self.callers: Mapping[str, Caller] = {}
        self.default_caller: Caller | None = None
        self.last_refusal: KmsRefusal | None = None
        self.calls = CallLog()
        self._clock = clock
        self._judge = Judge(rules)

    def account_of(self, access_key: str) -> str:
        """The account that a request with `access_key` is for."""
        listed = self.callers.get(access_key)
        if listed is not None:
            return listed.principal.account
        return account_of_access_key(access_key) or self.account

    def now_ms(self) -> int:
        """The time of this KMS, in milliseconds since the Unix epoch."""
        return self._clock()

    def caller(
        self, access_key: str, account: str | None = None, region: str = DEFAULT_REGION
    ) -> Caller:
        """Who calls with `access_key`. Raises KmsRefusal for one that is inactive.

        `account` is where moto looks for it, if that is not the fake's own.
        """
        listed = self.callers.get(access_key)
        if listed is not None:
            return listed
        account = account or self.account
        known = known_caller(access_key, account, region)
        return known or self.default_caller or default_caller(account, region)

    def call(
        self,
        operation: str,
        members: object,
        *,
        caller: Caller | None = None,
        region: str = DEFAULT_REGION,
        origin: Origin = NO_ORIGIN,
    ) -> dict[str, Any]:
        """Answer one request; `members` and the answer are those of boto3: blobs are bytes.

        `operation` is Decrypt or GenerateDataKey; ValueError for another. Raises KmsRefusal.
        """
        who = caller or self.default_caller or default_caller(self.account, region)
        account = who.principal.account
        try:
            store = MotoKeys(account, region)
        except KmsRefusal as error:
            where = {"account": account, "region": region}
            self.note(operation, members, **where, origin=origin, by=error, caller=who)
            raise
        call = Call(
            operation=Operation(operation),
            given=members,
            caller=who,
            store=store,
            roots=self.roots,
            now_ms=self._clock(),
            settings=self.settings,
        )
        refusal = self._judge.refusal(call)
        if refusal is not None:
            self.last_refusal = refusal
            self._keep(call, origin, refusal)
            raise refusal
        answer = _answer(call)
        self._keep(call, origin)
        return answer

    def answer(
        self, operation: str, members: object, *, account: str, region: str, origin: Origin
    ) -> dict[str, Any]:
        """Answer a request as a front got it: who calls follows from its access key."""
        try:
            caller = self.caller(origin.access_key or "", account, region)
        except KmsRefusal as refusal:
            self.note(operation, members, account=account, region=region, origin=origin, by=refusal)
            raise
        return self.call(operation, members, caller=caller, region=region, origin=origin)

    def note(
        self,
        operation: str,
        members: object,
        *,
        account: str,
        region: str,
        origin: Origin,
        by: KmsRefusal | Refused | None,
        caller: Caller | None = None,
    ) -> None:
        """Keep a call that was answered elsewhere (`by` is None) or refused before it was judged.

        Without `caller`, who calls follows from the access key.
        """
        try:
            who = caller or self.caller(origin.access_key or "", account, region)
        except KmsRefusal:
            who = None
        self.calls.add(
            CallRecord(
                number=self.calls.number(),
                operation=operation,
                time_ms=self._clock(),
                region=region,
                account=account,
                caller=None if who is None else who.principal,
                origin=origin,
                members=origin.kept(members if isinstance(members, Mapping) else {}),
                key_arn=None,
                refused=_refused(by) if isinstance(by, KmsRefusal) else by,
            )
        )

    def _keep(self, call: Call, origin: Origin, refusal: KmsRefusal | None = None) -> None:
        # Not the call itself: it holds what was parsed and decrypted, many times the request.
        key = call.key
        self.calls.add(
            CallRecord(
                number=self.calls.number(),
                operation=call.operation.value,
                time_ms=call.now_ms,
                region=call.store.region,
                account=call.store.account,
                caller=call.caller.principal,
                origin=origin,
                members=origin.kept(call.members),
                key_arn=None if key is None else key.arn,
                refused=None if refusal is None else _refused(refusal),
            )
        )


def _refused(refusal: KmsRefusal) -> Refused:
    # Not the exception: its traceback holds the frames that it went through.
    return Refused(refusal.rule, refusal.exception, refusal.message, refusal.http_status)


def _answer(call: Call) -> dict[str, Any]:
    key = call.key
    if key is None:
        raise PassedUnfit("names no key")
    if call.is_decrypt:
        if call.plaintext is None:
            raise PassedUnfit("holds a ciphertext that does not open")
        answer = {"KeyId": key.arn, "EncryptionAlgorithm": call.algorithm}
        return {**answer, **_delivered(call, call.plaintext)}
    length = call.members.get("NumberOfBytes") or _KEY_LENGTHS[call.members["KeySpec"]]
    plaintext = os.urandom(length)
    blob = key.seal(plaintext, call.context)
    return {"KeyId": key.arn, "CiphertextBlob": blob, **_delivered(call, plaintext)}


def _delivered(call: Call, plaintext: bytes) -> dict[str, Any]:
    """The members that carry the plaintext, in clear or in an envelope.

    KeyMaterialId is "omitted if the request includes the Recipient parameter" ("Decrypt", AWS KMS
    API Reference); asymmetric keys have none.
    """
    if call.recipient is None:
        material = call.material_id
        return {"Plaintext": plaintext, **({"KeyMaterialId": material} if material else {})}
    recipient = call.recipient_key
    if not isinstance(recipient, rsa.RSAPublicKey):
        raise PassedUnfit("brings a recipient key that is not RSA")
    envelope = seal(plaintext, recipient, call.recipient_der, call.settings.content_form)
    return {"CiphertextForRecipient": envelope, **_EMPTY_PLAINTEXT[call.settings.plaintext_form]}


_EMPTY_PLAINTEXT: Mapping[PlaintextForm, Mapping[str, Any]] = {
    PlaintextForm.ABSENT: {},
    PlaintextForm.NULL: {"Plaintext": None},
    PlaintextForm.EMPTY: {"Plaintext": b""},
}
