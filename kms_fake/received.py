"""Every question that KMS asks of an attestation document, each answered on its own.

A question answers with the reason for refusing, or None. Each needs what the ones before it
establish, and one whose ground is missing refuses too: whatever order they are asked in, and
whichever is left out, a document is never taken as better than it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from kms_fake.cached import cached_property
from kms_fake.chain import BadChain, Chain, TrustedRoots, UnreadableCertificate
from kms_fake.condition_keys import fold_key
from kms_fake.document import (
    AttestationDocument,
    CoseSign1,
    NotADocument,
    read_cose_sign1,
    read_payload,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_AGE_MS = 5 * 60 * 1000
"""Reported by two implementers (zama-ai/kms, bountynet); no AWS page found says it."""

_PCR_OF_ENCLAVE_KEY = {
    "kms:RecipientAttestation:ImageSha384": 0,
    **{f"kms:RecipientAttestation:PCR{index}": index for index in range(32)},
}
_PCR_OF_TPM_KEY = {f"kms:RecipientAttestation:NitroTPMPCR{index}": index for index in range(32)}
_FOLDED_ENCLAVE = {fold_key(name): index for name, index in _PCR_OF_ENCLAVE_KEY.items()}
_FOLDED_TPM = {fold_key(name): index for name, index in _PCR_OF_TPM_KEY.items()}
_ES384 = ec.ECDSA(hashes.SHA384())


class ReceivedDocument:
    """One document, as it came in a request at `now_ms`, before the roots of one KMS."""

    def __init__(self, raw: bytes, roots: TrustedRoots, now_ms: int) -> None:
        self._raw = raw
        self._roots = roots
        self._now_ms = now_ms

    @cached_property
    def _cose(self) -> CoseSign1 | NotADocument:
        try:
            return read_cose_sign1(self._raw)
        except NotADocument as error:
            return error

    @cached_property
    def _fields(self) -> AttestationDocument | NotADocument:
        if isinstance(self._cose, NotADocument):
            return self._cose
        try:
            return read_payload(self._cose.payload)
        except NotADocument as error:
            return error

    @cached_property
    def _chain(self) -> Chain | BadChain:
        fields = self._fields
        if isinstance(fields, NotADocument):
            return BadChain(str(fields))
        try:
            return self._roots.chain(fields.certificate, fields.cabundle)
        except BadChain as error:
            return error

    @property
    def fields(self) -> AttestationDocument | None:
        """The payload's fields, whether or not anything vouches for them; None if unreadable."""
        return None if isinstance(self._fields, NotADocument) else self._fields

    def not_cose(self) -> str | None:
        """Why it is not a COSE_Sign1 of ES384."""
        return str(self._cose) if isinstance(self._cose, NotADocument) else None

    def bad_payload(self) -> str | None:
        """Why its payload is not that of an attestation document."""
        return str(self._fields) if isinstance(self._fields, NotADocument) else None

    def unreadable_certificate(self) -> str | None:
        """Which certificate does not parse."""
        fields, chain = self._fields, self._chain
        if isinstance(fields, NotADocument):
            return str(fields)
        return str(chain) if isinstance(chain, UnreadableCertificate) else None

    def untrusted_root(self) -> str | None:
        """Why its root is none of the trusted ones."""
        fields = self._fields
        if isinstance(fields, NotADocument):
            return str(fields)
        if not self._roots.trusts(fields.cabundle[0]):
            return "cabundle[0] is not a root that this KMS trusts"
        return None

    def bad_chain(self) -> str | None:
        """Why its certificates do not form a chain."""
        return str(self._chain) if isinstance(self._chain, BadChain) else None

    def expired_chain(self) -> str | None:
        """Why its certificates are not valid now."""
        chain = self._chain
        if isinstance(chain, BadChain):
            return str(chain)
        if not chain.valid_at(self._now_ms):
            return "a certificate of the document is not valid at this time"
        return None

    def bad_signature(self) -> str | None:
        """Why the signer did not sign it."""
        cose, chain = self._cose, self._chain
        if isinstance(cose, NotADocument):
            return str(cose)
        if isinstance(chain, BadChain):
            return str(chain)
        r = int.from_bytes(cose.signature[:48], "big")
        s = int.from_bytes(cose.signature[48:], "big")
        try:
            chain.signer.verify(encode_dss_signature(r, s), cose.signed_bytes, _ES384)
        except InvalidSignature:
            return "the signature is not that of the document's certificate"
        return None

    def too_old(self) -> str | None:
        """Why it counts as stale: older than five minutes."""
        fields = self._fields
        if isinstance(fields, NotADocument):
            return str(fields)
        age_ms = self._now_ms - fields.timestamp_ms
        if age_ms > MAX_AGE_MS:
            return f"the document is {age_ms // 1000} seconds old; 300 is the most"
        return None

    def from_the_future(self) -> str | None:
        """Why it counts as made in the future: by more than five minutes."""
        fields = self._fields
        if isinstance(fields, NotADocument):
            return str(fields)
        ahead_ms = fields.timestamp_ms - self._now_ms
        if ahead_ms > MAX_AGE_MS:
            return f"the document was made {ahead_ms // 1000} seconds in the future"
        return None

    def condition_values(self) -> Mapping[str, str]:
        """What the document adds to the request context of policies: key to lower-case hex.

        `kms:RecipientAttestation:ImageSha384` is PCR0 ("Condition keys for AWS Nitro Enclaves",
        AWS KMS Developer Guide). Lower case is inferred; so is that every PCR of the document is
        there, zeros too: the debug recipe of aws-nitro-enclaves-sdk-c, docs/kmstool.md, matches
        ImageSha384 against 96 zeros.
        """
        return {
            name: value
            for name in (*_PCR_OF_ENCLAVE_KEY, *_PCR_OF_TPM_KEY)
            if (value := self.condition_value(fold_key(name))) is not None
        }

    def condition_value(self, key: str) -> str | None:
        """One of them, by the folded name of its key; None where there is no such value."""
        fields = self.fields
        if fields is None:
            return None
        index = (_FOLDED_TPM if fields.nitro_tpm else _FOLDED_ENCLAVE).get(key)
        digest = None if index is None else fields.pcrs.get(index)
        return None if digest is None else digest.hex()
