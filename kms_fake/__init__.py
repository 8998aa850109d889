"""A fake of AWS KMS for attested calls: the real validation errors, in the real order.

It checks attestation documents by itself, enforces key policies on the attested measurements, and
answers CiphertextForRecipient in the bytes that the real service sends. It knows no fake NSM: it
trusts the roots it is given, and never AWS's unless told to.

    from kms_fake import KmsFake, mock_attested_kms
    from kms_fake.roots import root_from_der

    with mock_attested_kms(KmsFake([root_from_der(der)])):
        boto3.client("kms").decrypt(CiphertextBlob=..., Recipient=...)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kms_fake.call import PlaintextForm, RuleSet, Settings
    from kms_fake.cloudtrail import cloudtrail_event, cloudtrail_events
    from kms_fake.envelope import ContentForm
    from kms_fake.errors import KmsRefusal
    from kms_fake.fake import KmsFake
    from kms_fake.http_front import KmsServer, serving
    from kms_fake.moto_front import mock_attested_kms
    from kms_fake.record import CallRecord

__all__ = [
    "CallRecord",
    "ContentForm",
    "KmsFake",
    "KmsRefusal",
    "KmsServer",
    "PlaintextForm",
    "RuleSet",
    "Settings",
    "cloudtrail_event",
    "cloudtrail_events",
    "mock_attested_kms",
    "serving",
]

_PLACES = {
    "CallRecord": "kms_fake.record",
    "ContentForm": "kms_fake.envelope",
    "KmsFake": "kms_fake.fake",
    "KmsRefusal": "kms_fake.errors",
    "KmsServer": "kms_fake.http_front",
    "PlaintextForm": "kms_fake.call",
    "RuleSet": "kms_fake.call",
    "Settings": "kms_fake.call",
    "cloudtrail_event": "kms_fake.cloudtrail",
    "cloudtrail_events": "kms_fake.cloudtrail",
    "mock_attested_kms": "kms_fake.moto_front",
    "serving": "kms_fake.http_front",
}
"""The modules of these names, imported when one of them is used: moto and what it needs take a
second, and whoever wants a table or an enum of this package should not wait for them."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_PLACES[name]), name)
