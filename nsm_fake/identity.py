"""Who an enclave is: its module id, the instance and role around it, and its measurements.

A value, fixed at boot; the registers that an enclave extends are in `pcrs`. The shapes of the ids
are those of 101 real attestation documents; debug mode is what 42 real debug documents show.
"""

import re
from dataclasses import dataclass

from nsm_fake.clock import Clock
from nsm_fake.pcrs import (
    PCR_LENGTH,
    ZERO_PCR,
    check_instance_id,
    check_role_arn,
    pcr_of_instance_id,
    pcr_of_role_arn,
    pcrs_of_label,
)
from nsm_fake.randomness import Derivation

_MODULE_ID = re.compile(r"(i-[0-9a-f]{17})-enc([0-9a-f]{16})", re.ASCII)
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}", re.ASCII)
# "MODULE_ID.REGION.aws" is a common name, and those end at 64 characters (X.520 ub-common-name).
_REGION_MAX = 64 - 39 - len("..aws")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveIdentity:
    """The identity of one enclave from its boot to its end.

    Raises ValueError, naming what is wrong and what to give, for values no enclave could have.
    """

    module_id: str
    """`INSTANCE_ID-enc` and 16 hexadecimal digits, zero-padded (nitro-cli's EnclaveID is not):
    the first 12 are the creation time in milliseconds since the Unix epoch (inferred: it precedes
    the first document in 101 of 101), the last 4 look random."""
    region: str
    instance_id: str
    role_arn: str | None
    """The IAM role of the parent instance, or None if it has none: PCR3 is then zero."""
    pcr0: bytes
    """48 bytes: measurement of the whole image."""
    pcr1: bytes
    """48 bytes: measurement of kernel, command line and first ramdisk."""
    pcr2: bytes
    """48 bytes: measurement of the other ramdisks."""
    pcr8: bytes = ZERO_PCR
    """48 bytes: measurement of the certificate that signed the image; zero if it is unsigned."""
    debug_mode: bool = False
    """Booted with a console: PCR0, PCR1, PCR2 and PCR8 are zero, and nothing else differs
    (reported: 42 real documents; of PCR8 with a signed image: inferred)."""

    def __post_init__(self) -> None:
        check_instance_id(self.instance_id)
        if self.role_arn is not None:
            check_role_arn(self.role_arn)
        self._check_module_id()
        self._check_region()
        for index, value in self._measurements().items():
            if len(value) != PCR_LENGTH:
                raise ValueError(
                    f"PCR{index} has {len(value)} bytes, but a PCR is a SHA-384 digest; give "
                    f"{PCR_LENGTH} bytes (bytes.fromhex turns the 96 digits that nitro-cli prints "
                    "into them)."
                )

    @classmethod
    def create(  # noqa: PLR0913  (keyword-only, each with a valid default)
        cls,
        *,
        clock: Clock,
        label: str = "attested-kms",
        pcr0: bytes | None = None,
        pcr1: bytes | None = None,
        pcr2: bytes | None = None,
        pcr8: bytes = ZERO_PCR,
        role_arn: str | None = None,
        instance_id: str | None = None,
        region: str = "us-east-1",
        debug_mode: bool = False,
        seed: bytes | None = None,
    ) -> "EnclaveIdentity":
        """The identity of an enclave that is created now.

        PCR0, PCR1 and PCR2 are 48 bytes each; one that is not given derives from `label`
        (`pcrs_of_label`). PCR8, 48 bytes too, is zero for an unsigned image and
        `pcr_of_signing_certificate` for a signed one. An instance id that is not given, and the
        random end of the module id, derive from `seed`, or are fresh without one.

        Raises ValueError for values that no enclave could have.
        """
        randomness = Derivation(seed)
        if instance_id is None:
            # Every real id that was seen begins with a zero.
            instance_id = "i-0" + randomness.bytes(8, "instance id").hex()
        created = clock()
        if not 0 <= created < 1 << 48:
            raise ValueError(
                f"The clock says {created}, which does not fit into a module id; give a clock in "
                "milliseconds since the Unix epoch, not negative and before the year 10889."
            )
        end = randomness.bytes(2, "module id", instance_id, created).hex()
        by_label = pcrs_of_label(label)
        return cls(
            module_id=f"{instance_id}-enc{created:012x}{end}",
            region=region,
            instance_id=instance_id,
            role_arn=role_arn,
            pcr0=by_label[0] if pcr0 is None else pcr0,
            pcr1=by_label[1] if pcr1 is None else pcr1,
            pcr2=by_label[2] if pcr2 is None else pcr2,
            pcr8=pcr8,
            debug_mode=debug_mode,
        )

    @property
    def enclave_id(self) -> str:
        """The EnclaveID that nitro-cli prints: the module id without the zeros after `-enc`.

        Documented: aws-nitro-enclaves-cli, src/enclave_proc/utils.rs.
        """
        return f"{self.instance_id}-enc{self.enclave_number:x}"

    @property
    def enclave_number(self) -> int:
        """The 16 hexadecimal digits at the end of the module id, as a number."""
        return int(self.module_id[-16:], 16)

    def boot_pcrs(self) -> dict[int, bytes]:
        """The registers that are measured at boot, index to 48 bytes; all others are zero."""
        measured = dict.fromkeys((0, 1, 2, 8), ZERO_PCR)
        if not self.debug_mode:
            measured = self._measurements()
        around = {4: pcr_of_instance_id(self.instance_id)}
        if self.role_arn is not None:
            around[3] = pcr_of_role_arn(self.role_arn)
        return measured | around

    def _measurements(self) -> dict[int, bytes]:
        return {0: self.pcr0, 1: self.pcr1, 2: self.pcr2, 8: self.pcr8}

    def _check_module_id(self) -> None:
        match = _MODULE_ID.fullmatch(self.module_id)
        if match is None or match[1] != self.instance_id:
            raise ValueError(
                f"{self.module_id!r} is not a module id of the instance {self.instance_id}; give "
                "the instance id, '-enc' and 16 lower-case hexadecimal digits."
            )

    def _check_region(self) -> None:
        if not _REGION.fullmatch(self.region) or len(self.region) > _REGION_MAX:
            raise ValueError(
                f"{self.region!r} is not an AWS region, which the certificates name; give one "
                f"like 'us-east-1', at most {_REGION_MAX} characters."
            )
