"""How Rust's standard library words what a system call answered, as backtraces show it.

Source: std::io::Error's Debug and Display, library/std/src/sys/unix (Rust 1.81).
"""

from __future__ import annotations

import errno
import os

_KINDS = {
    errno.ENOENT: "NotFound",
    errno.EACCES: "PermissionDenied",
    errno.EPERM: "PermissionDenied",
    errno.EEXIST: "AlreadyExists",
    errno.EISDIR: "IsADirectory",
    errno.ENOTDIR: "NotADirectory",
    errno.ENOTEMPTY: "DirectoryNotEmpty",
    errno.ENOSPC: "StorageFull",
    errno.EDQUOT: "FilesystemQuotaExceeded",
    errno.EROFS: "ReadOnlyFilesystem",
    errno.EFBIG: "FileTooLarge",
    errno.ELOOP: "FilesystemLoop",
    errno.ENAMETOOLONG: "InvalidFilename",
    errno.EINVAL: "InvalidInput",
    errno.EBUSY: "ResourceBusy",
    errno.ETXTBSY: "ExecutableFileBusy",
    errno.ENOMEM: "OutOfMemory",
    errno.EINTR: "Interrupted",
    errno.EPIPE: "BrokenPipe",
    errno.EAGAIN: "WouldBlock",
    errno.ETIMEDOUT: "TimedOut",
    errno.ECONNREFUSED: "ConnectionRefused",
    errno.ECONNRESET: "ConnectionReset",
    errno.ENOTCONN: "NotConnected",
}

_ESCAPED = {
    **{code: f"\\u{{{code:x}}}" for code in (*range(0x20), 0x7F)},
    **{
        ord(character): text
        for character, text in (
            ("\0", r"\0"),
            ("\t", r"\t"),
            ("\n", r"\n"),
            ("\r", r"\r"),
            ('"', r"\""),
            ("\\", r"\\"),
        )
    },
}
"""As char::escape_debug has them; beyond ASCII all is left as it is."""


def debug(error: OSError) -> str:
    """The error as `{:?}` shows it: `Os { code: 2, kind: NotFound, message: "..." }`."""
    number = error.errno or 0
    kind = _KINDS.get(number, "Uncategorized")
    return f'Os {{ code: {number}, kind: {kind}, message: "{os.strerror(number)}" }}'


def display(error: OSError) -> str:
    """The error as `{}` shows it: `No such file or directory (os error 2)`."""
    number = error.errno or 0
    return f"{os.strerror(number)} (os error {number})"


def quoted(text: str) -> str:
    """A string as Rust's {:?} shows it."""
    return f'"{text.translate(_ESCAPED)}"'
