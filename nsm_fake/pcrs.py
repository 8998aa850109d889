"""Platform configuration registers: the bank of 32, and the formulas of their boot values.

Pure state: no wire format, no clock, no lock of its own (the module serialises its requests, as
the driver does). The semantics are those that AWS's `nsm-check.rs` asserts inside real enclaves;
extend is QEMU's `extend_pcr`, confirmed by PCR4 of 101 real documents. The formulas of PCR3 and
PCR4 are those of AWS's "Where to get an enclave's measurements", that of PCR8 is
that of aws-nitro-enclaves-image-format.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nsm_fake.errors import ErrorCode, NsmError

PCR_COUNT = 32
PCR_LENGTH = 48
"""Bytes in a PCR: the length of a SHA-384 digest."""
ZERO_PCR = bytes(PCR_LENGTH)
LOCKED_AT_BOOT = 16
"""PCRs 0..15 are locked when an enclave boots, 16..31 are its own (documented: nsm-check.rs)."""

_INSTANCE_ID = re.compile(r"i-[0-9a-f]{17}", re.ASCII)
_ROLE_ARN = re.compile(
    r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/([!-.0-~]+/)*[A-Za-z0-9_+=,.@-]{1,64}", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Pcr:
    """One register as DescribePCR shows it."""

    value: bytes
    """48 bytes."""
    locked: bool


class PcrBank:
    """The 32 registers of one enclave, from its boot to its end.

    Nothing unlocks or resets a register (inferred: the API has no request for it). Not
    thread-safe.
    """

    def __init__(self, boot_values: Mapping[int, bytes]) -> None:
        """Boot with `boot_values`, index to 48 bytes; the others are zero and 0..15 are locked."""
        self._values = [boot_values.get(index, ZERO_PCR) for index in range(PCR_COUNT)]
        self._locked = [index < LOCKED_AT_BOOT for index in range(PCR_COUNT)]

    def describe(self, index: int) -> Pcr:
        """The register at `index`. Raises NsmError(InvalidIndex)."""
        _check_index(index)
        return Pcr(self._values[index], self._locked[index])

    def extend(self, index: int, data: bytes) -> bytes:
        """Set the register to SHA-384(old value || data) and return it, 48 bytes.

        `data` is hashed raw and may have any length. Raises NsmError: InvalidIndex, ReadOnlyIndex.
        """
        self._check_unlocked(index)
        self._values[index] = extended(self._values[index], data)
        return self._values[index]

    def lock(self, index: int) -> None:
        """Lock one register. Raises NsmError: InvalidIndex, ReadOnlyIndex (locked already)."""
        self._check_unlocked(index)
        self._locked[index] = True

    def lock_range(self, count: int) -> None:
        """Lock the registers 0..count-1, those that are locked already included.

        Raises NsmError(InvalidIndex) if there are not so many. A count of zero locks nothing
        (inferred: QEMU).
        """
        if not 0 <= count <= PCR_COUNT:
            raise NsmError(ErrorCode.INVALID_INDEX, f"range {count}: there are {PCR_COUNT} PCRs")
        self._locked[:count] = [True] * count

    def locked(self) -> dict[int, bytes]:
        """The locked registers, ascending: those that an attestation document carries."""
        return {i: value for i, value in enumerate(self._values) if self._locked[i]}

    def _check_unlocked(self, index: int) -> None:
        _check_index(index)
        if self._locked[index]:
            raise NsmError(ErrorCode.READ_ONLY_INDEX, f"PCR{index} is locked")


def _check_index(index: int) -> None:
    if not 0 <= index < PCR_COUNT:
        raise NsmError(ErrorCode.INVALID_INDEX, f"PCR{index}: the last one is PCR{PCR_COUNT - 1}")


def extended(old: bytes, data: bytes) -> bytes:
    """SHA-384(old || data): what ExtendPCR makes of a register."""
    return hashlib.sha384(old + data).digest()


def pcr_of_role_arn(role_arn: str) -> bytes:
    """PCR3 of an enclave whose parent instance has the IAM role `role_arn`: 48 bytes.

    SHA-384(48 zero bytes || ASCII ARN). Documented, with the example that a test repeats. Raises
    ValueError if it is not the ARN of an IAM role.
    """
    check_role_arn(role_arn)
    return extended(ZERO_PCR, role_arn.encode("ascii"))


def pcr_of_instance_id(instance_id: str) -> bytes:
    """PCR4 of an enclave on the parent instance `instance_id`: 48 bytes.

    SHA-384(48 zero bytes || ASCII instance id). Documented; holds on 101 real documents. Raises
    ValueError if it is not an instance id.
    """
    check_instance_id(instance_id)
    return extended(ZERO_PCR, instance_id.encode("ascii"))


def pcr_of_signing_certificate(pem: bytes) -> bytes:
    """PCR8 of an image signed with the key of this certificate, PEM: 48 bytes.

    SHA-384(48 zero bytes || SHA-384(DER)). Documented: aws-nitro-enclaves-cli,
    docs/image_signing.md, and the source of aws-nitro-enclaves-image-format. Of several
    certificates the first counts (inferred). Raises ValueError if there is none.
    """
    try:
        der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    except ValueError as error:
        raise ValueError(
            f"The signing certificate does not read ({error}); give the PEM text that nitro-cli's "
            "--signing-certificate takes, beginning with -----BEGIN CERTIFICATE-----."
        ) from error
    return extended(ZERO_PCR, hashlib.sha384(der).digest())


def pcrs_of_label(label: str) -> tuple[bytes, bytes, bytes]:
    """PCR0, PCR1 and PCR2 for an image that exists in name only: 48 bytes each.

    SHA-384(48 zero bytes || SHA-384(UTF-8 of "attested-kms/LABEL/pcrN")): the shape of a real
    measurement, with the label in place of the image's sections. Our own convention, nothing of
    AWS's; other languages can compute it.
    """
    pcr0, pcr1, pcr2 = (
        extended(ZERO_PCR, hashlib.sha384(f"attested-kms/{label}/pcr{n}".encode()).digest())
        for n in range(3)
    )
    return pcr0, pcr1, pcr2


def check_instance_id(instance_id: str) -> None:
    """Raise ValueError unless `instance_id` is `i-` and 17 lower-case hexadecimal digits."""
    if not _INSTANCE_ID.fullmatch(instance_id):
        raise ValueError(
            f"{instance_id!r} is not an EC2 instance id: PCR4 and the module id are made from "
            "'i-' and 17 lower-case hexadecimal digits; give one like 'i-0123456789abcdef0'."
        )


def check_role_arn(role_arn: str) -> None:
    """Raise ValueError unless `role_arn` is the ARN of an IAM role."""
    if _ROLE_ARN.fullmatch(role_arn):
        return
    if ":assumed-role/" in role_arn:
        cause = "an assumed-role ARN, but PCR3 measures the ARN of the role itself"
    elif ":instance-profile/" in role_arn:
        cause = "an instance profile's ARN, but PCR3 measures the ARN of the role inside it"
    else:
        cause = "not the ARN of an IAM role, which is what PCR3 measures"
    raise ValueError(
        f"{role_arn!r} is {cause}; give 'arn:aws:iam::ACCOUNT:role/NAME', with the role's path "
        "before its name if it has one."
    )
