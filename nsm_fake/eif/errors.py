"""What can be wrong with an enclave image file, one class each.

The message is a sentence for people, in our words. `real_text` is what AWS's own reader, signer or
checker (aws-nitro-enclaves-image-format) says of the same file, where that is known from its
source; nitro-cli shows it in its backtrace.
"""

from __future__ import annotations

from pathlib import Path


class EifError(ValueError):
    """An enclave image file that cannot be read, trusted, signed or made."""

    def __init__(self, message: str, *, real_text: str | None = None) -> None:
        super().__init__(message)
        self.real_text = real_text


class EifUnreadable(EifError):
    """The operating system does not let the file be read."""


class EifTruncated(EifError):
    """The file ends before what it announces."""


class EifBadMagic(EifError):
    """It does not begin with `.eif`: it is something else."""


class EifBadVersion(EifError):
    """A version of the format that this reader does not know."""


class EifTooManySections(EifError):
    """More than the header's table has room for."""


class EifBadSection(EifError):
    """A section of no known type, one too many or too few, or not where the header says."""


class EifOversized(EifError):
    """A section that is longer than anything it could sensibly hold."""


class EifBadCrc(EifError):
    """The checksum in the header is not that of the content."""


class EifBadMetadata(EifError):
    """The metadata section, or a file of custom metadata, is not what it must be."""


class EifBadSignature(EifError):
    """The signature section does not read, or what it says is not true."""


class EifBadSigner(EifError):
    """A certificate or private key with which no image can be signed."""


class EifUnwritable(EifError):
    """What an image was to be made of does not fit into one."""


END_OF_FILE = 'Error { kind: UnexpectedEof, message: "failed to fill whole buffer" }'
"""How Rust shows that a file ended early."""

_KINDS = {
    1: "PermissionDenied",
    2: "NotFound",
    13: "PermissionDenied",
    20: "NotADirectory",
    21: "IsADirectory",
    40: "FilesystemLoop",
}


def unreadable(path: Path, error: OSError, doing: str) -> EifUnreadable:
    """The error for a file that the operating system refuses; `doing` is the real reader's step."""
    number = error.errno or 0
    kind = _KINDS.get(number, "Uncategorized")
    reason = error.strerror or str(error)
    return EifUnreadable(
        f"{path} cannot be read: {reason}.",
        real_text=f'{doing}: Os {{ code: {number}, kind: {kind}, message: "{reason}" }}',
    )
