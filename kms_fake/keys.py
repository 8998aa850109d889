"""KMS keys, as moto holds them: found by every name a caller may use, opened and sealed.

The keys, their states, policies, aliases and grants stay moto's; this module only reads them. Where
moto 5.2.5 differs from KMS for the two operations of this package, it is corrected here: an ARN of
another Region or account names another key; the header of a multi-Region key's ciphertext is found
although moto cuts the id; RSA keys encrypt and decrypt with RSA-OAEP, by the algorithm of the
request; a key of origin EXTERNAL waits for its material (`kms_fake.material`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_private_key
from moto.kms import utils as moto_utils
from moto.kms.models import kms_backends
from moto.utilities.utils import get_partition

from kms_fake.asymmetric import mac_algorithms, signing_algorithms
from kms_fake.granting import grant_of_token, make_grant
from kms_fake.grants import Grant
from kms_fake.material import MaterialHistory, history_of, material_id
from kms_fake.other_refusals import REGION
from kms_fake.principals import listed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_ARN = re.compile(
    r"arn:aws[\w-]*:kms:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<name>(?:key|alias)/.+)"
)
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# moto's multi-Region ids keep the hyphens that KMS's have not; both name a key.
_KEY_ID = re.compile(rf"(?:mrk-)?{_UUID}|mrk-[0-9a-f]{{32}}", re.IGNORECASE)
_HEADER_KEY_ID = re.compile(rf"{_UUID}|mrk-[0-9a-f-]{{32}}")

_IV = slice(moto_utils.KEY_ID_LEN, moto_utils.KEY_ID_LEN + moto_utils.IV_LEN)
_TAG = slice(_IV.stop, moto_utils.HEADER_LEN)

_Ids = dict[str, str]
_ids: WeakKeyDictionary[Any, tuple[_Ids, _Ids]] = WeakKeyDictionary()
"""For each of moto's backends, the key ids that were found for an alias, and for a cut key id.

moto looks through all keys for an alias, which would make a call dearer the more keys there are.
What is remembered here is checked before it is used.
"""

SYMMETRIC_DEFAULT = "SYMMETRIC_DEFAULT"
RSA_OAEP = {
    "RSAES_OAEP_SHA_1": padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303  # An algorithm of the KMS API.
    "RSAES_OAEP_SHA_256": padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
}


@dataclass(frozen=True, slots=True)
class KmsKey:
    """One key as it is at this moment."""

    key_id: str
    arn: str
    policy: str
    """The key policy, JSON text."""
    state: str
    """KeyState of the API: Enabled, Disabled, PendingDeletion, PendingImport."""
    usage: str
    spec: str
    _moto: Any

    @property
    def is_symmetric(self) -> bool:
        """Whether it encrypts with SYMMETRIC_DEFAULT."""
        return self.spec == SYMMETRIC_DEFAULT

    @property
    def encryption_algorithms(self) -> tuple[str, ...]:
        """What Encrypt and Decrypt may use with it."""
        if self.usage != "ENCRYPT_DECRYPT":
            return ()
        if self.is_symmetric:
            return (SYMMETRIC_DEFAULT,)
        return tuple(RSA_OAEP) if self.spec.startswith("RSA_") else ()

    @property
    def description(self) -> str:
        """What its maker wrote about it."""
        return str(self._moto.description)

    @property
    def origin(self) -> str:
        """Where its material comes from: AWS_KMS, EXTERNAL, ..."""
        return str(self._moto.origin)

    @property
    def is_multi_region(self) -> bool:
        """Whether it is a multi-Region key, primary or replica."""
        return bool(self._moto.multi_region)

    @property
    def is_primary(self) -> bool:
        """Whether it is the primary key of a multi-Region key."""
        if not self.is_multi_region:
            return False
        primary: str = self._moto.multi_region_configuration["PrimaryKey"]["Arn"]
        return primary == self.arn

    @property
    def private_key(self) -> Any:
        """The private key of an asymmetric key; meaningless for others, where moto has one too."""
        return self._moto.private_key.private_key

    @property
    def mac_key(self) -> bytes:
        """The secret of an HMAC key."""
        secret: bytes = self._moto.key_material
        return secret

    @property
    def tag_keys(self) -> frozenset[str]:
        """The keys of its tags."""
        backend = kms_backends[self._moto.account_id][self._moto.region]
        return frozenset(backend.tagger.get_tag_dict_for_resource(self.key_id))

    @property
    def history(self) -> MaterialHistory:
        """Its materials over time, which moto does not keep."""
        return history_of(self._moto)

    @property
    def algorithms(self) -> dict[str, list[str]]:
        """The member of KeyMetadata that lists its algorithms; none for a spec without any here."""
        name, found = {
            "ENCRYPT_DECRYPT": ("EncryptionAlgorithms", self.encryption_algorithms),
            "SIGN_VERIFY": ("SigningAlgorithms", signing_algorithms(self.spec)),
            "GENERATE_VERIFY_MAC": ("MacAlgorithms", mac_algorithms(self.spec)),
            "KEY_AGREEMENT": ("KeyAgreementAlgorithms", ("ECDH",)),
        }.get(self.usage, ("", ()))
        return {name: list(found)} if found else {}

    @property
    def material_id(self) -> str:
        """KeyMaterialId: 64 hexadecimal digits that name this key's current material."""
        return material_id(self._moto.key_material)

    @property
    def imported_materials(self) -> tuple[bytes, ...]:
        """The materials that were imported into it and are not pending."""
        return (self.history.imported_form, *self.history.earlier)

    def import_material(self, material: bytes) -> None:
        """Give a key of origin EXTERNAL its first material: PKCS#8 for an asymmetric one."""
        if self.is_symmetric or self.spec.startswith("HMAC_"):
            self._moto.key_material = material
        else:
            self._moto.private_key.private_key = load_der_private_key(material, None)
        self.history.imported_form = material
        self.history.imported = self.history.ever_imported = True

    def delete_material(self) -> None:
        """Make it wait for its material again, also if it was disabled."""
        self.history.imported = False
        if self.state == "Disabled":
            self._moto.key_state, self._moto.enabled = "Enabled", True

    def rotate(self) -> None:
        """Give it and its replicas new material; what was sealed before still opens."""
        material = self.history.pending or os.urandom(len(self._moto.key_material))
        before = self._moto.key_material
        for key in (self._moto, *self._replicas()):
            key.key_material = material
            history_of(key).earlier.append(before)
        self.history.imported_form = material
        self.history.pending = None
        self.history.rotations += 1

    def _replicas(self) -> Iterator[Any]:
        """moto's replicas of this key; imported material is brought to each by its owner."""
        if not self.is_primary or self.origin != "AWS_KMS":
            return
        for replica in self._moto.multi_region_configuration["ReplicaKeys"]:
            key = kms_backends[self._moto.account_id][replica["Region"]].keys.get(self.key_id)
            if key is not None:
                yield key

    def share_materials(self, replica: KmsKey | NoSuchKey) -> None:
        """Give a new replica the earlier materials too, which moto does not copy."""
        if isinstance(replica, KmsKey) and self.origin == "AWS_KMS":
            replica.history.earlier.extend(self.history.earlier)

    def seal(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """A CiphertextBlob of a symmetric key, in moto's format."""
        blob: bytes = moto_utils.encrypt(
            {self.key_id: self._moto}, self.key_id, plaintext, moto_context(context)
        )
        return blob

    def seal_rsa(self, plaintext: bytes, algorithm: str) -> bytes:
        """The RSA ciphertext of `plaintext`, which is not longer than `most_rsa_bytes`."""
        return self._rsa.public_key().encrypt(plaintext, RSA_OAEP[algorithm])

    def most_rsa_bytes(self, algorithm: str) -> int:
        """The longest plaintext that the algorithm takes with this RSA key: RFC 8017, 7.1.1."""
        digest = {"RSAES_OAEP_SHA_1": 20, "RSAES_OAEP_SHA_256": 32}[algorithm]
        return self._rsa.key_size // 8 - 2 * digest - 2

    @property
    def _rsa(self) -> RSAPrivateKey:
        key: RSAPrivateKey = self._moto.private_key.private_key
        return key

    def open(self, blob: bytes, context: Mapping[str, str], algorithm: str) -> bytes | None:
        """The plaintext, or None where blob, context or algorithm are not those of encryption."""
        if not self.is_symmetric:
            return self._open_rsa(blob, algorithm)
        opened = self._opened(blob, context)
        return opened[1] if opened else None

    def opening_material_id(self, blob: bytes, context: Mapping[str, str]) -> str:
        """KeyMaterialId of the material that opens `blob`, which is one that `open` opens."""
        opened = self._opened(blob, context)
        return material_id(opened[0]) if opened else self.material_id

    def _opened(self, blob: bytes, context: Mapping[str, str]) -> tuple[bytes, bytes] | None:
        """The material that opens a symmetric ciphertext, and the plaintext."""
        if header_key_id(blob) != self.key_id[: moto_utils.KEY_ID_LEN]:
            return None
        iv, tag = blob[_IV], blob[_TAG]
        ciphertext = blob[moto_utils.HEADER_LEN :] + tag
        for material in (self._moto.key_material, *self.history.earlier):
            with suppress(InvalidTag):
                aes = AESGCM(material)
                return material, aes.decrypt(iv, ciphertext, _authenticated(context))
        return None

    def _open_rsa(self, blob: bytes, algorithm: str) -> bytes | None:
        if algorithm not in self.encryption_algorithms:
            return None
        try:
            return self._rsa.decrypt(blob, RSA_OAEP[algorithm])
        except ValueError:
            return None

    @property
    def multi_region_type(self) -> str | None:
        """PRIMARY or REPLICA for a multi-Region key."""
        if not self._moto.multi_region:
            return None
        primary = self._moto.multi_region_configuration["PrimaryKey"]["Arn"]
        return "PRIMARY" if primary == self.arn else "REPLICA"

    @property
    def aliases(self) -> tuple[str, ...]:
        """Its alias names, `alias/...`."""
        return tuple(self._moto.aliases)

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""
        backend = kms_backends[self._moto.account_id][self._moto.region]
        tags: Mapping[str, str] = backend.tagger.get_tag_dict_for_resource(self.key_id)
        return tags

    @property
    def grants(self) -> tuple[Grant, ...]:
        """Its grants that are neither retired nor revoked."""
        if not self._moto.grants:
            return ()
        # A copy, since another thread may be at it.
        return tuple(_grant(grant) for grant in list(self._moto.grants.values()))

    def make_grant(self, members: Mapping[str, Any]) -> tuple[str, str]:
        """The id and the token of the grant that these members of CreateGrant make."""
        return make_grant(self._moto, members)

    def has_grant(self, grant_id: str) -> bool:
        """Whether it has a grant of this id."""
        return grant_id in self._moto.grants

    def end_grant(self, grant_id: str) -> None:
        """Forget a grant."""
        self._moto.grants.pop(grant_id, None)


@dataclass(frozen=True, slots=True)
class NoSuchKey:
    """No key has that name; `text` is KMS's for it."""

    text: str


class MotoKeys:
    """The keys of one account in one Region. Raises KmsRefusal for a Region there is not."""

    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.region = region
        try:
            self._backend: Any = kms_backends[account][region]
        except KeyError:
            raise REGION.refuse(f"There is no Region {region}.") from None

    def named(self, name: str) -> KmsKey | NoSuchKey:
        """The key with this key id, key ARN, alias name or alias ARN.

        Texts: AWS-validated snapshots of LocalStack's test_kms.py (`Key '...' does not exist`,
        `Invalid keyId '...'`, `Invalid arn REGION`); that of an absent alias is moto's (inferred).
        """
        if name.startswith("arn:"):
            match = _ARN.fullmatch(name)
            if match is None or match["region"] != self.region:
                return NoSuchKey(f"Invalid arn {match['region'] if match else name}")
            if match["account"] != self.account:
                return NoSuchKey(f"Key '{name}' does not exist")
            name = match["name"].removeprefix("key/")
        if name.startswith("alias/"):
            return self._aliased(name)
        if not _KEY_ID.fullmatch(name):
            return NoSuchKey(f"Invalid keyId '{name}'")
        key = self._backend.keys.get(name)
        if key is None:
            return NoSuchKey(f"Key '{self._arn('key/' + name)}' does not exist")
        return _view(key)

    def _aliased(self, alias: str) -> KmsKey | NoSuchKey:
        by_alias, _ = _ids.setdefault(self._backend, ({}, {}))
        key = self._backend.keys.get(by_alias.get(alias))
        if key is None or alias not in key.aliases:
            key_id = self._backend.get_key_id_from_alias(alias)
            if key_id is None:
                return NoSuchKey(f"Alias {self._arn(alias)} is not found.")
            by_alias[alias] = key_id
            key = self._backend.keys[key_id]
        return _view(key)

    def grant_of_token(self, token: str) -> tuple[KmsKey, str] | None:
        """The key and the id of the grant that a grant token stands for; None without one."""
        found = grant_of_token(list(self._backend.keys.values()), token)
        return None if found is None else (_view(found[0]), found[1])

    def of_ciphertext(
        self, blob: bytes, algorithm: str, named: KmsKey | NoSuchKey | None
    ) -> KmsKey | NoSuchKey | None:
        """The key that a ciphertext was made with; None if the ciphertext names none.

        An RSA ciphertext names none: the request must, with the algorithm ("Decrypt", AWS KMS API
        Reference; left out, a user got InvalidCiphertextException: aws-nitro-enclaves-sdk-c,
        issue 68).
        """
        if algorithm != SYMMETRIC_DEFAULT:
            return named
        header = header_key_id(blob)
        if header is None:
            return None
        key = self.of_header(header)
        if key is None:
            return NoSuchKey(header)
        return key if key.is_symmetric else None

    def of_header(self, header: str) -> KmsKey | None:
        """The key that a ciphertext's header names."""
        key = self._backend.keys.get(header)
        if key is None and header.startswith("mrk-"):
            key = self._cut(header)
        return None if key is None else _view(key)

    def _cut(self, header: str) -> Any:
        """The multi-Region key whose id begins so, in moto."""
        _, by_header = _ids.setdefault(self._backend, ({}, {}))
        keys = self._backend.keys
        key = keys.get(by_header.get(header))
        if key is None:
            key = next((k for i, k in list(keys.items()) if i.startswith(header)), None)
            if key is not None:
                by_header[header] = key.id
        return key

    def _arn(self, name: str) -> str:
        return f"arn:{get_partition(self.region)}:kms:{self.region}:{self.account}:{name}"


def alias_name(key_id: object) -> str | None:
    """The alias name, `alias/...`, that a KeyId names a key by: an alias name or an alias ARN."""
    if not isinstance(key_id, str):
        return None
    match = _ARN.fullmatch(key_id)
    name = match["name"] if match else key_id
    return name if name.startswith("alias/") else None


def header_key_id(blob: bytes) -> str | None:
    """The key id in the header of a ciphertext in moto's format, or None if it is no such thing.

    36 characters of key id (cut, for a multi-Region key), 12 bytes of IV, 16 of tag, then at
    least one byte of ciphertext.
    """
    if len(blob) <= moto_utils.HEADER_LEN:
        return None
    try:
        header = blob[: moto_utils.KEY_ID_LEN].decode("ascii")
    except UnicodeDecodeError:
        return None
    return header if _HEADER_KEY_ID.fullmatch(header) else None


def moto_context(context: Mapping[str, str]) -> dict[str, str]:
    """An encryption context in a form that moto authenticates without ambiguity.

    moto concatenates names and values, so that {"a": "bc"} opens what {"ab": "c"} sealed; real
    KMS authenticates the pairs. One JSON text under one empty name keeps them apart.
    """
    return {"": _authenticated(context).decode()} if context else {}


def _authenticated(context: Mapping[str, str]) -> bytes:
    return json.dumps(dict(context), sort_keys=True).encode() if context else b""


def _grant(grant: Any) -> Grant:
    constraints = dict(grant.constraints or {})
    return Grant(
        grantee=listed([str(grant.grantee_principal)]),
        operations=frozenset(grant.operations or ()),
        context_equals=constraints.pop("EncryptionContextEquals", None),
        context_subset=constraints.pop("EncryptionContextSubset", None),
        source_arn=constraints.pop("SourceArn", None),
        unknown_constraint=bool(constraints),
    )


def _view(key: Any) -> KmsKey:
    waits = key.origin == "EXTERNAL" and not history_of(key).imported
    pending_import = waits and key.key_state == "Enabled"
    return KmsKey(
        key_id=key.id,
        arn=key.arn,
        policy=key.policy,
        state="PendingImport" if pending_import else key.key_state,
        usage=key.key_usage or "ENCRYPT_DECRYPT",  # The API's default, which moto leaves out.
        spec=key.key_spec,
        _moto=key,
    )
