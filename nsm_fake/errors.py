"""The error codes of the NSM API, and the one table of who returns which, and when.

The names are those of AWS's `aws-nitro-enclaves-nsm-api` (`src/api/mod.rs`, `ErrorCode`). Which
code the device answers to which mistake is taken from QEMU's `hw/virtio/virtio-nsm.c` and marked
`inferred`: AWS's own tests (`nsm-check.rs`) only assert that there is an error. Errors that the
client library makes up, before or after the device was asked, are listed so that a reader does not
look for them here; this fake never returns them.
"""

import enum
from dataclasses import dataclass


class Evidence(enum.Enum):
    """How a behaviour is known."""

    DOCUMENTED = "documented"
    """AWS's text or source says so."""
    RECORDED = "recorded"
    """This project's suite has seen it on hardware."""
    REPORTED = "reported"
    """Somebody's run on hardware, cited."""
    INFERRED = "inferred"
    """A conclusion from something else that was seen."""
    UNKNOWN = "unknown"


class ErrorCode(enum.Enum):
    """`ErrorCode` of the NSM API; the value is the text on the wire."""

    SUCCESS = "Success"
    INVALID_ARGUMENT = "InvalidArgument"
    INVALID_INDEX = "InvalidIndex"
    INVALID_RESPONSE = "InvalidResponse"
    READ_ONLY_INDEX = "ReadOnlyIndex"
    INVALID_OPERATION = "InvalidOperation"
    BUFFER_TOO_SMALL = "BufferTooSmall"
    INPUT_TOO_LARGE = "InputTooLarge"
    INTERNAL_ERROR = "InternalError"


class Origin(enum.Enum):
    """Which part of the way between a program and the NSM makes an error up."""

    DEVICE = "device"
    """The NSM itself: the part that this package fakes."""
    CLIENT_LIBRARY = "client library"
    """`nsm_process_request` of `aws-nitro-enclaves-nsm-api`, around the ioctl."""
    C_WRAPPER = "C wrapper"
    """`libnsm`, the C interface over the client library."""


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One reason for one error code."""

    code: ErrorCode
    origin: Origin
    when: str
    evidence: Evidence
    """That this code, by this name, is what a real enclave sees in this case."""
    source: str


_QEMU = "QEMU hw/virtio/virtio-nsm.c"
_CLIENT = "aws-nitro-enclaves-nsm-api src/driver"
_LIBNSM = "aws-nitro-enclaves-nsm-api nsm-lib/src/lib.rs"

ERROR_RULES: tuple[ErrorRule, ...] = (
    # The device's rows stand in the order in which it checks (inferred from QEMU).
    ErrorRule(
        ErrorCode.INPUT_TOO_LARGE,
        Origin.DEVICE,
        "the request is longer than 4096 bytes",
        Evidence.INFERRED,
        _QEMU,
    ),
    ErrorRule(
        ErrorCode.INVALID_OPERATION,
        Origin.DEVICE,
        "the request is not one that can be decoded: not CBOR, an unknown request, a missing or "
        "ill-typed field, bytes after its end",
        Evidence.INFERRED,
        _QEMU,
    ),
    ErrorRule(
        ErrorCode.INVALID_INDEX,
        Origin.DEVICE,
        "DescribePCR, ExtendPCR or LockPCR of an index over 31; LockPCRs of a range over 32",
        Evidence.INFERRED,
        f"{_QEMU}; that range 33 fails: AWS nsm-check.rs",
    ),
    ErrorRule(
        ErrorCode.READ_ONLY_INDEX,
        Origin.DEVICE,
        "ExtendPCR or LockPCR of a locked PCR",
        Evidence.INFERRED,
        f"{_QEMU}; that both fail: AWS nsm-check.rs",
    ),
    ErrorRule(
        ErrorCode.INTERNAL_ERROR,
        Origin.DEVICE,
        "the NSM itself failed; here: the fake cannot work, and its log says why",
        Evidence.INFERRED,
        _QEMU,
    ),
    ErrorRule(
        ErrorCode.INPUT_TOO_LARGE,
        Origin.CLIENT_LIBRARY,
        "the encoded request is longer than 4096 bytes, or the driver said EMSGSIZE",
        Evidence.DOCUMENTED,
        _CLIENT,
    ),
    ErrorRule(
        ErrorCode.INTERNAL_ERROR,
        Origin.CLIENT_LIBRARY,
        "any other errno (a bad descriptor, 120 seconds without an answer), or an answer that "
        "cannot be decoded",
        Evidence.DOCUMENTED,
        _CLIENT,
    ),
    ErrorRule(
        ErrorCode.BUFFER_TOO_SMALL,
        Origin.C_WRAPPER,
        "the caller's buffer is NULL or shorter than the data",
        Evidence.DOCUMENTED,
        _LIBNSM,
    ),
    ErrorRule(
        ErrorCode.INVALID_RESPONSE,
        Origin.C_WRAPPER,
        "the answer belongs to another request",
        Evidence.DOCUMENTED,
        _LIBNSM,
    ),
    ErrorRule(
        ErrorCode.INVALID_ARGUMENT,
        Origin.C_WRAPPER,
        "nsm_extend_pcr with NULL data; nsm_get_random without descriptor, buffer or length",
        Evidence.DOCUMENTED,
        _LIBNSM,
    ),
)


class NsmError(Exception):
    """The NSM refuses a request.

    `code` goes over the wire. The reason stays in this process, since the real answer has no room
    for one.
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(f"{code.value}: {reason}")
        self.code = code
        self.reason = reason
