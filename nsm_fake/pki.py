"""The certificate authorities behind an NSM: who is issued when, for how long, with which key.

Issuing is a function of seed and time alone: nothing is kept but a bounded cache, any moment can
be visited in any order, and with a seed every byte comes out again. Lifetimes and rotations are
those measured on 104 real documents (evidence: reported); the periods between rotations are
inferred from the greatest ages seen there. The shape of the certificates is in `certificates`.

    root       2019-10-28T13:28:05 .. 2049-10-28T14:28:05, constants
    regional   20 days and 1 hour, a new one every 5 days
    zonal      133 to 145 hours, a new one every 12 hours
    instance   24 hours, a new one every 12 hours for each parent instance
    leaf       from 3 s before its issue to 3 hours after, on demand

Each authority is the newest at the start of what it issues, so that validities nest, as they do in
all real documents.
"""

import datetime as dt
import functools
import uuid
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from nsm_fake import certificates
from nsm_fake.certificates import Holder, Issuance, Validity
from nsm_fake.identity import EnclaveIdentity
from nsm_fake.randomness import Derivation

_HOUR = 3600
_DAY = 24 * _HOUR

_ROOT_VALIDITY = Validity(
    int(dt.datetime(2019, 10, 28, 13, 28, 5, tzinfo=dt.UTC).timestamp()),
    int(dt.datetime(2049, 10, 28, 14, 28, 5, tzinfo=dt.UTC).timestamp()),
)
_REGIONAL_PERIOD, _REGIONAL_LIFETIME = 5 * _DAY, 20 * _DAY + _HOUR
_ZONAL_PERIOD = 12 * _HOUR
_ZONAL_SHORTEST, _ZONAL_LONGEST = 133, 145
"""Hours."""
_INSTANCE_PERIOD, _INSTANCE_LIFETIME = 12 * _HOUR, 24 * _HOUR
_LEAF_BACKDATE, _LEAF_LIFETIME = 3, 3 * _HOUR

# From here to here every authority fits into the root's validity, whatever the seed.
_EARLIEST = _ROOT_VALIDITY.not_before + _REGIONAL_PERIOD + _ZONAL_PERIOD + _INSTANCE_PERIOD + 3
_LATEST = _ROOT_VALIDITY.not_after - _REGIONAL_LIFETIME

# Of regions there are few. Of instances a fleet has a thousand, each entry about 1.5 KB.
_CACHED_AUTHORITIES = 64
_CACHED_INSTANCES = 2048


class ClockOutsideValidityError(ValueError):
    """The clock shows a time for which the simulated root cannot vouch."""


@dataclass(frozen=True, slots=True)
class SigningChain:
    """What an NSM needs to sign documents: its leaf and the certificates above."""

    private_key: ec.EllipticCurvePrivateKey
    certificate: bytes
    """The leaf in DER."""
    cabundle: tuple[bytes, bytes, bytes, bytes]
    """Root, regional, zonal and instance certificate in DER."""
    validity: Validity
    """Of the leaf, and with it of all above."""


class NsmPki:
    """A public key infrastructure for any number of enclaves in any region.

    `seed`: any bytes but none; the same seed gives the same keys, serial numbers, signatures and
    root fingerprint. None draws a secret one, for which signatures need not be reproducible.
    Thread-safe.
    """

    def __init__(self, seed: bytes | None = None) -> None:
        self._randomness = Derivation(seed)
        self._root = certificates.root(self._issuance(_ROOT_VALIDITY, 128, "root"))
        self._regional = functools.lru_cache(_CACHED_AUTHORITIES)(self._issue_regional)
        self._zonal = functools.lru_cache(_CACHED_AUTHORITIES)(self._issue_zonal)
        self._instance = functools.lru_cache(_CACHED_INSTANCES)(self._issue_instance)

    @property
    def root_certificate_der(self) -> bytes:
        """The root certificate in DER: what a verifier is given to trust."""
        return self._root.der

    @property
    def root_certificate_pem(self) -> bytes:
        """The root certificate in PEM."""
        return self._root.certificate.public_bytes(Encoding.PEM)

    def issue(self, identity: EnclaveIdentity, now_ms: int) -> SigningChain:
        """A leaf for `identity`, issued at `now_ms` (milliseconds since the Unix epoch).

        Its serial number is the enclave's number (8 bytes) and the second of its issue (8 bytes).
        Raises ClockOutsideValidityError.
        """
        check_time(now_ms)
        issued = now_ms // 1000
        region = identity.region
        start = issued - _LEAF_BACKDATE
        instance = self._instance_at(region, identity.instance_id, start)
        zonal = self._zonal_at(region, instance.validity.not_before)
        regional = self._regional_at(region, zonal.validity.not_before)
        issuance = Issuance(
            private_key=self._randomness.p384_key("leaf", identity.module_id, issued),
            serial=identity.enclave_number << 64 | issued,
            validity=Validity(start, issued + _LEAF_LIFETIME),
            deterministic=self._randomness.reproducible,
        )
        leaf = certificates.leaf(issuance, instance, module_id=identity.module_id, region=region)
        return SigningChain(
            leaf.private_key,
            leaf.der,
            (self._root.der, regional.der, zonal.der, instance.der),
            issuance.validity,
        )

    def _regional_at(self, region: str, at: int) -> Holder:
        return self._regional(region, self._latest(at, _REGIONAL_PERIOD, "regional", region))

    def _zonal_at(self, region: str, at: int) -> Holder:
        return self._zonal(region, self._latest(at, _ZONAL_PERIOD, "zonal", region))

    def _instance_at(self, region: str, instance_id: str, at: int) -> Holder:
        start = self._latest(at, _INSTANCE_PERIOD, "instance", region, instance_id)
        return self._instance(region, instance_id, start)

    def _issue_regional(self, region: str, start: int) -> Holder:
        purpose = ("regional", region, start)
        validity = Validity(start, start + _REGIONAL_LIFETIME)
        return certificates.regional(
            self._issuance(validity, 128, *purpose),
            self._root,
            name=self._randomness.bytes(8, "name", *purpose).hex(),
            region=region,
            crl=self._uuid("root"),
        )

    def _issue_zonal(self, region: str, start: int) -> Holder:
        purpose = ("zonal", region, start)
        issuer = self._regional_at(region, start)
        spread = _ZONAL_LONGEST - _ZONAL_SHORTEST + 1
        hours = _ZONAL_SHORTEST + self._randomness.below(spread, "hours", *purpose)
        return certificates.zonal(
            self._issuance(Validity(start, start + hours * _HOUR), 128, *purpose),
            issuer,
            name=f"{self._randomness.below(1 << 64, 'name', *purpose):x}",
            region=region,
            crl=self._uuid("regional", region, issuer.validity.not_before),
        )

    def _issue_instance(self, region: str, instance_id: str, start: int) -> Holder:
        validity = Validity(start, start + _INSTANCE_LIFETIME)
        return certificates.instance(
            self._issuance(validity, 160, "instance", region, instance_id, start),
            self._zonal_at(region, start),
            instance_id=instance_id,
            region=region,
        )

    def _issuance(self, validity: Validity, serial_bits: int, *purpose: str | int) -> Issuance:
        lowest = 1 << (serial_bits - 8)
        return Issuance(
            private_key=self._randomness.p384_key("key", *purpose),
            # No real serial number was seen with a leading zero byte.
            serial=lowest + self._randomness.below(255 * lowest, "serial", *purpose),
            validity=validity,
            deterministic=self._randomness.reproducible,
        )

    def _latest(self, at: int, period: int, *purpose: str) -> int:
        """When the newest authority at `at` began: rotations come every `period`, out of step."""
        phase = self._randomness.below(period, "phase", *purpose)
        return at - (at - phase) % period

    def _uuid(self, *purpose: str | int) -> str:
        return str(uuid.UUID(bytes=self._randomness.bytes(16, "crl", *purpose), version=4))


def check_time(now_ms: int) -> None:
    """Raise ClockOutsideValidityError if no chain can be issued at `now_ms`."""
    if not _EARLIEST <= now_ms // 1000 <= _LATEST:
        raise ClockOutsideValidityError(
            f"The clock says {now_ms} ms after the Unix epoch, and the simulated root certificate "
            f"can issue from {_text(_EARLIEST)} to {_text(_LATEST)}; set the clock within that "
            "time (its unit is milliseconds, not seconds)."
        )


def _text(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()
