"""What the commands on image files have in common: the texts of AWS's library in backtraces.

Where the library's own text for a fault is not known, ours stands there and says so.
"""

from __future__ import annotations

from nsm_fake.eif import EifError

_UNKNOWN = " [attested-kms: real text unknown]"


def library_text(error: Exception) -> str:
    """What AWS's library says of a fault that ours found."""
    if isinstance(error, EifError) and error.real_text is not None:
        return error.real_text
    return f"{error}{_UNKNOWN}"
