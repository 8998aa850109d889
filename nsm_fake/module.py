"""One Nitro Security Module: requests in, responses out, for one enclave from boot to end.

It joins the parts: `codec` reads and writes, `pcrs` holds the registers, `pki` issues the leaf,
`document` signs. It answers one request at a time, as the driver's mutex makes the real one do
(documented: Linux drivers/misc/nsm.c). The order of its checks (length, decoding, index, lock) is
QEMU's, inferred. Version and digest are what real enclaves reported (DescribeNSM 1.0.0).

It does not model time: no request is slow, and none meets the driver's 120 seconds.
"""

import logging
import secrets
import threading

from nsm_fake.clock import Clock
from nsm_fake.codec import (
    Attest,
    AttestationDocument,
    DescribeNsm,
    DescribePcr,
    ExtendPcr,
    GetRandom,
    LockPcr,
    LockPcrs,
    NsmDescription,
    PcrDescription,
    PcrExtended,
    PcrLocked,
    PcrRangeLocked,
    RandomBytes,
    Refusal,
    Request,
    Response,
    decode_request,
    encode_response,
)
from nsm_fake.document import OuterMap, encode_payload, sign_payload
from nsm_fake.errors import NsmError
from nsm_fake.identity import EnclaveIdentity
from nsm_fake.pcrs import PCR_COUNT, Pcr, PcrBank
from nsm_fake.pki import NsmPki, SigningChain, check_time
from nsm_fake.randomness import Derivation

_log = logging.getLogger(__name__)

_VERSION = (1, 0, 0)
"""Reported: real enclaves in 2021 and 2022; what today's say is unknown."""
_RANDOM_LENGTH = 256
"""Bytes in one answer to GetRandom (documented: libnsm, "up to 256"; QEMU sends 256)."""
_RENEWAL_MS = 15 * 60 * 1000
"""The leaf is issued anew so long before it ends (reported: a production measurement over 298
documents, every 2 h 45 min)."""


class NitroSecurityModule:
    """The NSM of the enclave `identity`, with certificates from `pki`.

    With `seed` the answers to GetRandom and the signatures of documents are the same for the same
    requests at the same times; certificates repeat if `pki` has a seed. Raises
    ClockOutsideValidityError if `clock` shows a time at which `pki` cannot issue. Thread-safe.
    """

    def __init__(
        self,
        identity: EnclaveIdentity,
        pki: NsmPki,
        clock: Clock,
        *,
        seed: bytes | None = None,
        outer_map: OuterMap = OuterMap.INDEFINITE,
    ) -> None:
        # Told here, where somebody reads it, rather than at the first document.
        check_time(clock())
        self.identity = identity
        self._pki = pki
        self._clock = clock
        self._outer_map = outer_map
        self._stream = None if seed is None else Derivation(seed)
        self._random_answers = 0
        self._pcrs = PcrBank(identity.boot_pcrs())
        self._chain: SigningChain | None = None
        self._lock = threading.Lock()

    def handle(self, request: bytes) -> bytes:
        """The response to `request`: both are one CBOR item, at most 4096 and 12288 bytes.

        Whatever the bytes are, there is a response: `{"Error": CODE}` if they are wrong, and the
        reason goes to the log at level DEBUG. Raises ClockOutsideValidityError if the clock has
        left the validity of the root.
        """
        with self._lock:
            try:
                response = self._answer(decode_request(request))
            except NsmError as refusal:
                _log.debug("The NSM of %s refuses: %s", self.identity.module_id, refusal)
                response = Refusal(refusal.code)
        return encode_response(response)

    def describe_pcr(self, index: int) -> Pcr:
        """The register `index` as it is now. Raises NsmError(InvalidIndex)."""
        with self._lock:
            return self._pcrs.describe(index)

    def locked_pcrs(self) -> dict[int, bytes]:
        """What the next document will carry: index to 48 bytes, ascending."""
        with self._lock:
            return self._pcrs.locked()

    def _answer(self, request: Request) -> Response:  # noqa: PLR0911  (one answer per request)
        match request:
            case Attest():
                return AttestationDocument(self._attest(request))
            case GetRandom():
                return RandomBytes(self._random())
            case DescribePcr(index):
                pcr = self._pcrs.describe(index)
                return PcrDescription(pcr.locked, pcr.value)
            case ExtendPcr(index, data):
                return PcrExtended(self._pcrs.extend(index, data))
            case LockPcr(index):
                self._pcrs.lock(index)
                return PcrLocked()
            case LockPcrs(count):
                self._pcrs.lock_range(count)
                return PcrRangeLocked()
            case DescribeNsm():
                return self._description()

    def _description(self) -> NsmDescription:
        return NsmDescription(
            version=_VERSION,
            module_id=self.identity.module_id,
            max_pcrs=PCR_COUNT,
            locked_pcrs=tuple(self._pcrs.locked()),
            digest="SHA384",
        )

    def _attest(self, request: Attest) -> bytes:
        now_ms = self._clock()
        chain = self._chain_at(now_ms)
        payload = encode_payload(
            module_id=self.identity.module_id,
            timestamp_ms=now_ms,
            pcrs=self._pcrs.locked(),
            certificate=chain.certificate,
            cabundle=chain.cabundle,
            public_key=request.public_key,
            user_data=request.user_data,
            nonce=request.nonce,
            outer_map=self._outer_map,
        )
        return sign_payload(payload, chain.private_key, deterministic=self._stream is not None)

    def _chain_at(self, now_ms: int) -> SigningChain:
        """The leaf in use, or a new one if there is none, it ends soon or it has not begun."""
        chain = self._chain
        if (
            chain is None
            or now_ms < chain.validity.not_before * 1000
            or now_ms >= chain.validity.not_after * 1000 - _RENEWAL_MS
        ):
            chain = self._chain = self._pki.issue(self.identity, now_ms)
        return chain

    def _random(self) -> bytes:
        self._random_answers += 1
        if self._stream is None:
            return secrets.token_bytes(_RANDOM_LENGTH)
        return self._stream.bytes(_RANDOM_LENGTH, "GetRandom", self._random_answers)
