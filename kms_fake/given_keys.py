"""Keys put into moto whole, with an id and material of their own, so that ciphertexts outlive it.

CreateKey gives a key a random id and random material, and makes an RSA key each time, whatever the
key is. Here moto's own `Key` is filled instead, and not subclassed. Nothing is checked but the
Region: who describes a key has looked at it before (`simulator.key_file` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from moto.kms.models import Key, kms_backends
from moto.kms.utils import RSAPrivateKey as MotoRsaKey
from moto.utilities.utils import get_partition

from kms_fake.other_refusals import REGION

MULTI_REGION_PREFIX = "mrk-"
# moto makes a private key for every spec, and this one in no time; it is replaced at once.
_CHEAP_SPEC = "ECC_NIST_P256"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenGrant:
    """A grant as CreateGrant takes it."""

    grantee_principal: str
    operations: tuple[str, ...]
    name: str | None = None
    retiring_principal: str | None = None
    constraints: Mapping[str, Mapping[str, str]] | None = None
    """`EncryptionContextEquals` or `EncryptionContextSubset`, and the pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenKey:
    """One key as it shall be."""

    key_id: str
    """A UUID in lower case, or `mrk-` and 32 hexadecimal digits: a multi-Region key."""
    account: str
    """12 digits."""
    region: str
    material: bytes | RSAPrivateKey
    """32 bytes for SYMMETRIC_DEFAULT, else an RSA key of the size in `spec`."""
    spec: str = "SYMMETRIC_DEFAULT"
    usage: str = "ENCRYPT_DECRYPT"
    policy: str | None = None
    """JSON text; None is AWS's default key policy, which leaves all to the account's IAM."""
    aliases: tuple[str, ...] = ()
    """`alias/NAME`, each."""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True
    regions: tuple[str, ...] = ()
    """Of a multi-Region key: all its Regions, that of the primary key first."""
    grants: tuple[GivenGrant, ...] = ()

    @property
    def arn(self) -> str:
        """The key's ARN."""
        return self.arn_in(self.region)

    def arn_in(self, region: str) -> str:
        """The ARN of this key, or of its replica, in `region`."""
        return f"arn:{get_partition(region)}:kms:{region}:{self.account}:key/{self.key_id}"


def is_region(region: str) -> bool:
    """Whether KMS is there."""
    return region in kms_backends["000000000000"]


def add_key(given: GivenKey) -> None:
    """Put a key into moto. Raises KmsRefusal for a Region there is not."""
    if not is_region(given.region):
        raise REGION.refuse(f"There is no Region {given.region}.")
    backend: Any = kms_backends[given.account][given.region]
    backend.keys[given.key_id] = _moto_key(given)
    for alias in given.aliases:
        backend.create_alias(given.key_id, alias)
    if given.tags:
        backend.tagger.tag_resource(given.key_id, _moto_tags(given.tags))
    if not given.enabled:
        backend.disable_key(given.key_id)


def _moto_key(given: GivenKey) -> Any:
    key = Key(
        policy=given.policy,
        key_usage=given.usage,
        key_spec=_CHEAP_SPEC,
        description=given.description,
        account_id=given.account,
        region=given.region,
        multi_region=given.key_id.startswith(MULTI_REGION_PREFIX),
    )
    key.id, key.arn, key.key_spec = given.key_id, given.arn, given.spec
    if isinstance(given.material, bytes):
        key.key_material = given.material
    else:
        key.private_key = _moto_rsa_key(given.material)
    if key.multi_region:
        key.multi_region_configuration = _multi_region_configuration(given)
    for grant in given.grants:
        key.add_grant(
            name=grant.name,
            grantee_principal=grant.grantee_principal,
            operations=list(grant.operations),
            constraints=grant.constraints,
            retiring_principal=grant.retiring_principal,
        )
    return key


def _moto_rsa_key(private_key: RSAPrivateKey) -> Any:
    # moto's class makes a key of its own when it is called.
    held = MotoRsaKey.__new__(MotoRsaKey)
    held.key_size = private_key.key_size
    held.private_key = private_key
    return held


def _multi_region_configuration(given: GivenKey) -> dict[str, Any]:
    """MultiRegionConfiguration of DescribeKey ("MultiRegionConfiguration", AWS KMS API Reference).

    Each key has its own, since moto writes into it.
    """
    primary, *replicas = [
        {"Arn": given.arn_in(region), "Region": region}
        for region in given.regions or (given.region,)
    ]
    is_primary = primary["Region"] == given.region
    return {
        "MultiRegionKeyType": "PRIMARY" if is_primary else "REPLICA",
        "PrimaryKey": primary,
        "ReplicaKeys": replicas,
    }


def _moto_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"TagKey": name, "TagValue": value} for name, value in tags.items()]
