"""The materials of keys over time: earlier ones, imported ones, one that waits for rotation.

moto keeps one material for each key and nothing else; what is kept here belongs to moto's key and
goes with it. Sources: "Rotate AWS KMS keys" and "Importing key material for AWS KMS keys", AWS KMS
Developer Guide.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary


@dataclass(slots=True)
class MaterialHistory:
    """What became of one key's material."""

    earlier: list[bytes] = field(default_factory=list)
    """Materials before the current one; they only decrypt."""
    rotations: int = 0
    """How often it was rotated on demand."""
    imported: bool = False
    """Whether a key of origin EXTERNAL has its material now."""
    ever_imported: bool = False
    imported_form: bytes = b""
    """The current material as it was imported: PKCS#8 for an asymmetric key."""
    pending: bytes | None = None
    """Imported material that waits for a rotation."""
    import_parameters: dict[bytes, Any] = field(default_factory=dict)
    """What `kms_fake.key_import` keeps, by import token."""


_HISTORIES: WeakKeyDictionary[Any, MaterialHistory] = WeakKeyDictionary()


def history_of(moto_key: Any) -> MaterialHistory:
    """The history of a key of moto's."""
    return _HISTORIES.setdefault(moto_key, MaterialHistory())


def material_id(material: bytes) -> str:
    """KeyMaterialId: 64 hexadecimal digits that name a material."""
    return hashlib.sha256(b"KeyMaterialId" + material).hexdigest()
