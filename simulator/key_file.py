"""The keys file of `attested-kms serve`: read and checked as a whole.

Its form is the schema `simulator/schemas/keys.schema.json`. What a schema cannot say is checked
here: material that fits the spec, names that stand twice, policies, grants, Regions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kms_fake.given_keys import MULTI_REGION_PREFIX, GivenGrant, GivenKey, is_region
from kms_fake.grants import LONGEST_VALUE, MOST_PAIRS, grant_operations
from kms_fake.principals import is_principal
from simulator.key_material import (
    SYMMETRIC_DEFAULT,
    BadMaterial,
    derived_rsa,
    derived_symmetric,
    rsa_material,
    symmetric_material,
)
from simulator.policy_texts import against_key_policy, beside, policy_in_place, policy_of_file
from simulator.schema_check import schema_problems
from simulator.user_files import BadFile, UserFile, Where, read_user_file

Progress = Callable[[int, int], None]
"""Told how many are done, and of how many."""

_RESERVED_ALIASES = "alias/aws/"
_ENCRYPT_DECRYPT = "ENCRYPT_DECRYPT"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a file need not say of each key or principal."""

    account: str
    """12 digits."""
    region: str
    seed: bytes | None = None
    """Where material comes from that is left out."""


def _silent(_done: int, _total: int) -> None:
    """Tell nobody."""


def read_keys(path: Path, defaults: Defaults, progress: Progress = _silent) -> list[GivenKey]:
    """The keys of a file. Raises BadFile with everything that is wrong with it."""
    file = read_user_file(path)
    found = list(schema_problems(file, "keys"))
    reader = _Reader(file, defaults)
    reader.problems += [problem for _, problem in found]
    # An entry that the schema has something against is not looked at further.
    unfit = {where[:2] for where, _ in found}
    if unfit.isdisjoint({(), ("keys",)}):
        content: Any = file.value
        for index, entry in enumerate(content["keys"]):
            if ("keys", index) not in unfit:
                reader.read(("keys", index), entry)
            progress(index + 1, len(content["keys"]))
    if reader.problems:
        raise BadFile(*reader.problems)
    return reader.keys()


class _Reader:
    """Reads one key after the other and remembers what may not stand twice."""

    def __init__(self, file: UserFile, defaults: Defaults) -> None:
        self.problems: list[str] = []
        self._file = file
        self._defaults = defaults
        self._keys: dict[str, list[GivenKey]] = {}
        """By id; more than one for a multi-Region key, that of the primary Region first."""
        self._aliases: set[tuple[str, str, str]] = set()
        # The replicas of a multi-Region key share one material.
        self._derived_rsa = cache(derived_rsa)

    def keys(self) -> list[GivenKey]:
        """All that were read."""
        return [
            replace(key, regions=tuple(replica.region for replica in replicas))
            for replicas in self._keys.values()
            for key in replicas
        ]

    def read(self, where: Where, entry: Mapping[str, Any]) -> None:
        """Take in the key of an entry that the schema has nothing against."""
        before = len(self.problems)
        region = self._region(where, entry)
        material = self._material(where, entry)
        policy = self._policy(where, entry)
        self._check_usage(where, entry)
        if material is None or len(self.problems) > before:
            return
        key = GivenKey(
            key_id=entry["id"],
            account=entry.get("account", self._defaults.account),
            region=region,
            material=material,
            spec=entry.get("spec", SYMMETRIC_DEFAULT),
            usage=entry.get("usage", _ENCRYPT_DECRYPT),
            policy=policy,
            aliases=tuple(entry.get("aliases", ())),
            description=entry.get("description", ""),
            tags=entry.get("tags", {}),
            enabled=entry.get("enabled", True),
            grants=tuple(_grant(grant) for grant in entry.get("grants", ())),
        )
        self._check_aliases(where, key)
        self._check_id(where, key)
        for index, grant in enumerate(key.grants):
            for member, text in _unfit(grant, key):
                self._complain((*where, "grants", index, *member), text)
        self._keys.setdefault(key.key_id, []).append(key)

    def _complain(self, where: Where, text: str) -> None:
        self.problems.append(self._file.problem(where, text))

    def _only_one(self, where: Where, entry: Mapping[str, Any], *names: str) -> str | None:
        """Which of the members stands there, of which only one may."""
        present = [name for name in names if name in entry]
        if len(present) > 1:
            self._complain(where, f"has both {' and '.join(present)}; leave one")
        return present[0] if present else None

    def _region(self, where: Where, entry: Mapping[str, Any]) -> str:
        region: str = entry.get("region", self._defaults.region)
        if not is_region(region):
            self._complain(
                (*where, "region"), f"there is no Region {region}; give one such as us-east-1"
            )
        return region

    def _material(self, where: Where, entry: Mapping[str, Any]) -> bytes | RSAPrivateKey | None:
        spec = entry.get("spec", SYMMETRIC_DEFAULT)
        member = self._only_one(where, entry, "material", "material_file")
        try:
            if member == "material_file":
                return self._material_of_file(spec, entry[member])
            if member == "material":
                text = entry[member]
                symmetric = spec == SYMMETRIC_DEFAULT
                return symmetric_material(text) if symmetric else rsa_material(text.encode(), spec)
            return self._derived(spec, entry["id"])
        except BadMaterial as error:
            self._complain((*where, member) if member else where, str(error))
            return None

    def _material_of_file(self, spec: str, name: str) -> RSAPrivateKey:
        if spec == SYMMETRIC_DEFAULT:
            raise BadMaterial(f"a file holds an RSA key; give material, or a spec beside {spec}")
        path = beside(self._file, name)
        try:
            return rsa_material(path.read_bytes(), spec)
        except OSError as error:
            raise BadMaterial(f"{path}: cannot be read: {error.strerror}") from error
        except BadMaterial as error:
            raise BadMaterial(f"{path}: {error}") from error

    def _derived(self, spec: str, key_id: str) -> bytes | RSAPrivateKey:
        seed = self._defaults.seed
        if seed is None:
            raise BadMaterial(
                "material is missing; give it here, or --seed or --folder to derive it from: no "
                "ciphertext would survive a restart without"
            )
        if spec == SYMMETRIC_DEFAULT:
            return derived_symmetric(seed, key_id)
        return self._derived_rsa(seed, key_id, spec)

    def _policy(self, where: Where, entry: Mapping[str, Any]) -> str | None:
        member = self._only_one(where, entry, "policy", "policy_file")
        if member is None:
            return None
        read = policy_in_place if member == "policy" else policy_of_file
        try:
            return read(self._file, (*where, member), entry[member], against_key_policy)
        except BadFile as error:
            self.problems += error.problems
            return None

    def _check_usage(self, where: Where, entry: Mapping[str, Any]) -> None:
        symmetric = entry.get("spec", SYMMETRIC_DEFAULT) == SYMMETRIC_DEFAULT
        if symmetric and entry.get("usage", _ENCRYPT_DECRYPT) != _ENCRYPT_DECRYPT:
            self._complain((*where, "usage"), f"must be {_ENCRYPT_DECRYPT} for {SYMMETRIC_DEFAULT}")

    def _check_aliases(self, where: Where, key: GivenKey) -> None:
        for index, alias in enumerate(key.aliases):
            here = (*where, "aliases", index)
            name = (key.account, key.region, alias)
            if alias.startswith(_RESERVED_ALIASES):
                self._complain(here, f"{alias}: {_RESERVED_ALIASES} is for AWS's own keys")
            elif name in self._aliases:
                self._complain(here, f"{alias} stands twice in {key.region}; leave one")
            self._aliases.add(name)

    def _check_id(self, where: Where, key: GivenKey) -> None:
        same = self._keys.get(key.key_id, [])
        if not same:
            return
        if not key.key_id.startswith(MULTI_REGION_PREFIX):
            self._complain((*where, "id"), f"{key.key_id} stands twice; leave one")
        elif any(other.region == key.region for other in same):
            self._complain((*where, "id"), f"{key.key_id} stands twice in {key.region}; leave one")
        elif _shared(key) != _shared(same[0]):
            self._complain(
                where,
                f"account, spec, usage and material of {key.key_id} must be those that it has in "
                f"{same[0].region}: the replicas of a multi-Region key share them",
            )


def _shared(key: GivenKey) -> tuple[object, ...]:
    material = key.material
    comparable = material if isinstance(material, bytes) else material.private_numbers()
    return key.account, key.spec, key.usage, comparable


def _unfit(grant: GivenGrant, key: GivenKey) -> Iterator[tuple[Where, str]]:
    """What CreateGrant would refuse of a grant of the key, and where in the grant it stands."""
    fit = grant_operations(key.spec, key.usage)
    for index, operation in enumerate(grant.operations):
        if operation not in fit:
            of_key = f"a key of spec {key.spec} and usage {key.usage}"
            yield ("operations", index), f"{operation} is nothing that a grant of {of_key} allows"
    if set(grant.operations) == {"CreateGrant"}:
        yield ("operations",), "a grant cannot allow CreateGrant alone"
    principals = {
        "grantee_principal": grant.grantee_principal,
        "retiring_principal": grant.retiring_principal,
    }
    for member, name in principals.items():
        if name is not None and not is_principal(name):
            yield (member,), f"{name} is no user, role, role session or account's root"
    for pairs in (grant.constraints or {}).values():
        if key.spec != SYMMETRIC_DEFAULT:
            yield ("constraints",), f"a key of spec {key.spec} takes no encryption context"
        elif len(pairs) > MOST_PAIRS or any(len(value) > LONGEST_VALUE for value in pairs.values()):
            limit = f"{MOST_PAIRS} pairs with values of {LONGEST_VALUE} characters"
            yield ("constraints",), f"has more than {limit}, which are the most"


def _grant(entry: Mapping[str, Any]) -> GivenGrant:
    constraints = {
        "".join(word.capitalize() for word in name.split("_")): pairs
        for name, pairs in entry.get("constraints", {}).items()
    }
    return GivenGrant(
        grantee_principal=entry["grantee_principal"],
        operations=tuple(entry["operations"]),
        name=entry.get("name"),
        retiring_principal=entry.get("retiring_principal"),
        constraints=constraints or None,
    )
