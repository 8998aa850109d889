"""Which instance types can have enclaves, by their names.

Source: "What is Nitro Enclaves?", Requirements (AWS Nitro Enclaves User Guide, edition of 2026): a
table of families, each with the sizes that cannot. What is not in it may be newer than it.
"""

from __future__ import annotations

import enum
import re

_TYPE = re.compile(r"([a-z][a-z0-9-]{0,19})\.([a-z0-9-]{1,20})", re.ASCII)


def _families(names: str) -> frozenset[str]:
    return frozenset(names.split())


_WITHOUT_LARGE = _families(
    "m5 m5a m5ad m5d m5dn m5n m5zn m6a m6i m6id m6idn m6in m7i m8i "
    "c5 c5a c5ad c5d c5n c6a c6i c6id c6in c7i c8i "
    "r5 r5a r5ad r5b r5d r5dn r5n r6a r6i r6id r6idn r6in r7i r7iz r8i "
    "x8i z1d i3en i4i i7i i7ie g6f"
)
"""Intel and AMD: large has one core, which stays with the parent."""
_WITHOUT_MEDIUM = _families(
    "m6g m6gd m7g m7gd m8a m8g m8gb m8gd m8gn c6g c6gd c6gn c7g c7gd c8a c8g c8gb c8gd c8gn "
    "r6g r6gd r7g r7gd r8a r8g r8gb r8gd r8gn x2gd x8g"
)
"""Those with a core for each vCPU: medium has one."""
_WITHOUT_BOTH = _families("m7a c7a r7a")
_WHOLE = _families(
    "x2idn x2iedn x2iezn x8aedz d3 d3en i4g i8g i8ge dl1 dl2q f2 g4dn g5 g6 g6e gr6 gr6f g7e inf1 "
    "inf2 p4d p4de p5 p5e p5en p6-b300 trn2 trn2u"
)
_NEVER = _families(
    "t1 t2 t3 t3a t4g a1 m1 m2 m3 m4 c1 c3 c4 r3 r4 x1 x1e d2 h1 i2 i3 p2 p3 p3dn g2 g3 g3s f1 "
    "mac1 mac2"
)
"""Older than the table, and not in it."""
_TOO_SMALL = {"large": _WITHOUT_LARGE | _WITHOUT_BOTH, "medium": _WITHOUT_MEDIUM | _WITHOUT_BOTH}
_ALL = _WITHOUT_LARGE | _WITHOUT_MEDIUM | _WITHOUT_BOTH | _WHOLE


class Support(enum.Enum):
    """Whether a type can have enclaves, and why not."""

    YES = "yes"
    FAMILY = "no size of this family can have enclaves"
    SIZE = "this size has too few vCPUs to give some to an enclave"
    METAL = "a bare metal instance has no hypervisor to make enclaves"
    UNKNOWN = "unknown"


def support(instance_type: str) -> Support:
    """By the name of a type, such as m6i.xlarge."""
    match = _TYPE.fullmatch(instance_type)
    if match is None:
        return Support.UNKNOWN
    family, size = match.groups()
    if family in _NEVER:
        return Support.FAMILY
    if size.startswith("metal"):
        return Support.METAL
    if family not in _ALL:
        return Support.UNKNOWN
    return Support.SIZE if family in _TOO_SMALL.get(size, frozenset()) else Support.YES
