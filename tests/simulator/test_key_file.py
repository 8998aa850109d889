"""The keys file: what it may say, and what is said of everything that is wrong with it."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from jsonschema import Draft202012Validator

from kms_fake.given_keys import GivenGrant, GivenKey
from simulator.key_file import Defaults, read_keys
from simulator.key_material import derived_rsa, derived_symmetric
from simulator.schema_check import schema
from simulator.user_files import BadFile

ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER_ID = "2234abcd-12ab-34cd-56ef-1234567890ab"
MULTI_REGION_ID = "mrk-1234abcd12ab34cd56ef1234567890ab"
MATERIAL = bytes(range(32))
DEFAULTS = Defaults("111122223333", "eu-central-1")
ROOT = "arn:aws:iam::111122223333:root"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
    ],
}


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    encryption: KeySerializationEncryption | None = None,
) -> str:
    form = PrivateFormat.PKCS8
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


def entry(**members: Any) -> dict[str, Any]:
    """One key that is right."""
    return {"id": ID, "material": MATERIAL.hex(), **members}


def granted(**members: Any) -> dict[str, Any]:
    """One grant that is right."""
    return {"grantee_principal": ROOT, "operations": ["Decrypt"], **members}


def constrained(pairs: dict[str, str]) -> dict[str, Any]:
    """One grant under a constraint."""
    return granted(constraints={"encryption_context_equals": pairs})


def read(folder: Path, *entries: dict[str, Any], defaults: Defaults = DEFAULTS) -> list[GivenKey]:
    path = folder / "keys.json"
    path.write_text(json.dumps({"keys": entries}))
    return read_keys(path, defaults)


def problems(folder: Path, *entries: dict[str, Any], defaults: Defaults = DEFAULTS) -> list[str]:
    with pytest.raises(BadFile) as caught:
        read(folder, *entries, defaults=defaults)
    return [problem.removeprefix(f"{folder / 'keys.json'}: ") for problem in caught.value.problems]


def test_what_a_key_need_not_say(tmp_path: Path) -> None:
    assert read(tmp_path, entry()) == [
        GivenKey(
            key_id=ID,
            account="111122223333",
            region="eu-central-1",
            material=MATERIAL,
            regions=("eu-central-1",),
        )
    ]


def test_all_that_a_key_can_say(tmp_path: Path) -> None:
    constraints = {"encryption_context_subset": {"a": "b"}}
    grant = {"grantee_principal": ROOT, "operations": ["Decrypt"], "constraints": constraints}
    (key,) = read(
        tmp_path,
        entry(
            account="012345678901",
            region="us-west-2",
            spec="SYMMETRIC_DEFAULT",
            usage="ENCRYPT_DECRYPT",
            policy=POLICY,
            aliases=["alias/a", "alias/b/c"],
            description="one",
            tags={"Team": "a", "Empty": ""},
            enabled=False,
            grants=[{**grant, "name": "g", "retiring_principal": ROOT}],
        ),
    )
    assert (key.account, key.region, key.enabled) == ("012345678901", "us-west-2", False)
    assert json.loads(key.policy or "") == POLICY
    assert (key.aliases, key.tags) == (("alias/a", "alias/b/c"), {"Team": "a", "Empty": ""})
    assert key.grants == (
        GivenGrant(
            grantee_principal=ROOT,
            operations=("Decrypt",),
            name="g",
            retiring_principal=ROOT,
            constraints={"EncryptionContextSubset": {"a": "b"}},
        ),
    )


@pytest.mark.parametrize(
    "spelt",
    [
        MATERIAL.hex(),
        MATERIAL.hex().upper(),
        base64.b64encode(MATERIAL).decode(),
        f"{MATERIAL.hex()[:32]}\n  {MATERIAL.hex()[32:]}\n",
    ],
)
def test_symmetric_material(tmp_path: Path, spelt: str) -> None:
    assert read(tmp_path, entry(material=spelt))[0].material == MATERIAL


def test_material_of_digits_alone_is_text_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    digits = "1" * 64
    path.write_text(f"keys:\n  - id: {ID}\n    account: 012345678901\n    material: {digits}\n")
    (key,) = read_keys(path, DEFAULTS)
    assert (key.account, key.material) == ("012345678901", b"\x11" * 32)


def test_rsa_material_in_place_and_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "one.pem").write_text(pem(rsa_key()))
    in_place, beside = read(
        tmp_path,
        entry(spec="RSA_2048", material=pem(rsa_key())),
        {
            "id": OTHER_ID,
            "spec": "RSA_2048",
            "usage": "SIGN_VERIFY",
            "material_file": "keys/one.pem",
        },
    )
    for key in (in_place, beside):
        assert isinstance(key.material, rsa.RSAPrivateKey)
        assert key.material.private_numbers() == rsa_key().private_numbers()


def test_material_that_is_left_out_follows_from_the_seed_and_the_id(tmp_path: Path) -> None:
    seeded = Defaults("111122223333", "eu-central-1", b"seed")
    entries = [{"id": ID}, {"id": OTHER_ID}, {"id": MULTI_REGION_ID, "spec": "RSA_2048"}]
    first, second, third = read(tmp_path, *entries, defaults=seeded)
    assert first.material == derived_symmetric(b"seed", ID)
    assert second.material == derived_symmetric(b"seed", OTHER_ID) != first.material
    assert derived_symmetric(b"other", ID) != first.material
    assert isinstance(third.material, rsa.RSAPrivateKey)
    again = derived_rsa(b"seed", MULTI_REGION_ID, "RSA_2048")
    assert third.material.private_numbers() == again.private_numbers()


@pytest.mark.parametrize("spec", ["RSA_2048", "RSA_3072"])
def test_a_derived_rsa_key_is_a_sound_one(spec: str, openssl: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(pem(derived_rsa(b"seed", ID, spec)))
    told = subprocess.run(
        [openssl, "rsa", "-check", "-noout", "-in", str(tmp_path / "key.pem")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "RSA key ok" in told.stdout + told.stderr


def test_a_multi_region_key_in_two_regions(tmp_path: Path) -> None:
    both = [
        entry(id=MULTI_REGION_ID, aliases=["alias/a"]),
        entry(id=MULTI_REGION_ID, aliases=["alias/a"], region="us-west-2"),
    ]
    for key in read(tmp_path, *both):
        assert key.regions == ("eu-central-1", "us-west-2")


def test_policies_in_place_as_text_and_in_files(tmp_path: Path) -> None:
    text = json.dumps(POLICY, indent=2)
    (tmp_path / "app.json").write_text(text)
    entries = [entry(policy=text), entry(id=OTHER_ID, policy_file="app.json")]
    assert [key.policy for key in read(tmp_path, *entries)] == [text, text]


def change_statement(**members: Any) -> dict[str, Any]:
    (statement,) = POLICY["Statement"]
    assert isinstance(statement, dict)
    return {**POLICY, "Statement": [{**statement, **members}]}


EC_KEY = ec.generate_private_key(ec.SECP256R1())
WRONG: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "no id": (
        lambda: {"material": MATERIAL.hex()},
        "keys[0]: id is missing; give a UUID in lower case",
    ),
    "unknown member": (
        lambda: entry(polcy={}),
        "keys[0].polcy: there is no such member (is policy meant?); there are id, account",
    ),
    "upper-case id": (
        lambda: entry(id=ID.upper()),
        "keys[0].id: must be a UUID in lower case, or mrk- and 32",
    ),
    "moto's multi-Region id": (lambda: entry(id=f"mrk-{ID}"), "keys[0].id: must be a UUID"),
    "account as a number": (
        lambda: entry(account=123456789012),
        "(default: that of --account), not 123456789012; write it in quotes",
    ),
    "short account": (lambda: entry(account="1"), "keys[0].account: must be an account number"),
    "region": (
        lambda: entry(region="mars-1"),
        "keys[0].region: there is no Region mars-1; give one such as us-east-1",
    ),
    "spec": (
        lambda: entry(spec="ECC_NIST_P256"),
        "keys[0].spec: must be SYMMETRIC_DEFAULT (the default), RSA_2048, RSA_3072 or RSA_4096",
    ),
    "usage": (
        lambda: entry(usage="SIGN_VERIFY"),
        "keys[0].usage: must be ENCRYPT_DECRYPT for SYMMETRIC_DEFAULT",
    ),
    "enabled": (lambda: entry(enabled="yes"), "keys[0].enabled: must be true (the default) or"),
    "no material": (
        lambda: {"id": ID},
        "keys[0]: material is missing; give it here, or --seed or --folder to derive it from",
    ),
    "short material": (
        lambda: entry(material="00"),
        "keys[0].material: 2 characters that do not spell 32 bytes; give 64 hexadecimal digits",
    ),
    "no base64": (
        lambda: entry(material="???"),
        "keys[0].material: 3 characters that do not spell 32 bytes",
    ),
    "material twice": (
        lambda: entry(material_file="x"),
        "keys[0]: has both material and material_file; leave one",
    ),
    "file for a symmetric key": (
        lambda: {"id": ID, "material_file": "x"},
        "keys[0].material_file: a file holds an RSA key",
    ),
    "absent file": (
        lambda: {"id": ID, "spec": "RSA_2048", "material_file": "absent.pem"},
        "absent.pem: cannot be read: No such file",
    ),
    "no PEM": (
        lambda: entry(spec="RSA_2048"),
        "keys[0].material: no private key in PEM; give one that begins with",
    ),
    "other kind of key": (
        lambda: entry(spec="RSA_2048", material=pem(EC_KEY)),
        "keys[0].material: a private key of another kind; RSA_2048 needs RSA",
    ),
    "other size": (
        lambda: entry(spec="RSA_4096", material=pem(rsa_key())),
        "keys[0].material: an RSA key of 2048 bits, but spec is RSA_4096",
    ),
    "encrypted": (
        lambda: entry(spec="RSA_2048", material=pem(rsa_key(), BestAvailableEncryption(b"x"))),
        "keys[0].material: the private key is encrypted; give it without a password",
    ),
    "malformed policy": (
        lambda: entry(policy=change_statement(Effect="allow")),
        "keys[0].policy.Statement[0].Effect: must be Allow or Deny, not 'allow'",
    ),
    "unsupported policy": (
        lambda: entry(policy=change_statement(Principal={"Federated": "x"})),
        "keys[0].policy.Statement[0].Principal.Federated: ",
    ),
    "policy text": (lambda: entry(policy="{"), "keys[0].policy: the policy is not JSON"),
    "policy list": (lambda: entry(policy=[]), "keys[0].policy: must be a key policy, as an object"),
    "policy twice": (
        lambda: entry(policy=POLICY, policy_file="x"),
        "keys[0]: has both policy and policy_file; leave one",
    ),
    "absent policy": (
        lambda: entry(policy_file="absent.json"),
        "absent.json: cannot be read: No such file",
    ),
    "alias": (
        lambda: entry(aliases=["app"]),
        "keys[0].aliases[0]: must be alias/ and up to 250 letters",
    ),
    "reserved alias": (
        lambda: entry(aliases=["alias/aws/s3"]),
        "keys[0].aliases[0]: alias/aws/s3: alias/aws/ is for AWS's own keys",
    ),
    "alias twice": (
        lambda: entry(aliases=["alias/a", "alias/a"]),
        "keys[0].aliases[1]: alias/a stands twice in eu-central-1",
    ),
    "tag": (
        lambda: entry(tags={"a": 1}),
        "keys[0].tags.a: must be the value of a tag, text of up to 256 characters, not 1; write",
    ),
    "tag name": (lambda: entry(tags={"": "x"}), "keys[0].tags: must be the name of a tag"),
    "grant": (
        lambda: entry(grants=[{"operations": ["Decrypt"]}]),
        "keys[0].grants[0]: grantee_principal is missing; give the ARN of a user",
    ),
    "grant operation": (
        lambda: entry(grants=[{"grantee_principal": ROOT, "operations": ["PutKeyPolicy"]}]),
        "keys[0].grants[0].operations[0]: must be an operation that a grant can allow",
    ),
    "grant of another kind of key": (
        lambda: entry(grants=[granted(operations=["Decrypt", "Sign"])]),
        "keys[0].grants[0].operations[1]: Sign is nothing that a grant of a key of spec SYMMETRIC_",
    ),
    "grant of CreateGrant": (
        lambda: entry(grants=[granted(operations=["CreateGrant"])]),
        "keys[0].grants[0].operations: a grant cannot allow CreateGrant alone",
    ),
    "grant to a group": (
        lambda: entry(grants=[granted(grantee_principal=f"{ROOT[:-4]}group/staff")]),
        "keys[0].grants[0].grantee_principal: arn:aws:iam::111122223333:group/staff is no user",
    ),
    "grant retired by nobody": (
        lambda: entry(grants=[granted(retiring_principal=f"{ROOT[:-4]}group/staff")]),
        "keys[0].grants[0].retiring_principal: arn:aws:iam::111122223333:group/staff is no user",
    ),
    "grant of an RSA key under a context": (
        lambda: entry(spec="RSA_2048", material=pem(rsa_key()), grants=[constrained({"a": "b"})]),
        "keys[0].grants[0].constraints: a key of spec RSA_2048 takes no encryption context",
    ),
    "grant under many pairs": (
        lambda: entry(grants=[constrained({str(at): "" for at in range(9)})]),
        "keys[0].grants[0].constraints: has more than 8 pairs",
    ),
    "grant under a long value": (
        lambda: entry(grants=[constrained({"a": "b" * 385})]),
        "keys[0].grants[0].constraints: has more than 8 pairs with values of 384 characters",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_path(tmp_path: Path, case: str) -> None:
    made, complaint = WRONG[case]
    (problem,) = problems(tmp_path, made())
    assert complaint in problem
    assert problem.startswith("keys[0]")


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        ({"id": ID}, f"keys[1].id: {ID} stands twice; leave one"),
        ({"id": ID, "region": "us-west-2"}, f"keys[1].id: {ID} stands twice; leave one"),
        ({"id": MULTI_REGION_ID}, f"keys[1].id: {MULTI_REGION_ID} stands twice in eu-central-1"),
        (
            {"id": MULTI_REGION_ID, "region": "us-west-2", "material": "00" * 32},
            "keys[1]: account, spec, usage and material of mrk-",
        ),
        ({"id": OTHER_ID, "aliases": ["alias/a"]}, "keys[1].aliases[0]: alias/a stands twice in"),
    ],
)
def test_what_stands_twice(tmp_path: Path, second: dict[str, Any], complaint: str) -> None:
    first = entry(id=second["id"] if second["id"] != OTHER_ID else ID, aliases=["alias/a"])
    (problem,) = problems(tmp_path, first, entry(**second))
    assert problem.startswith(complaint)


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, {"id": "x"}, entry(region="mars-1", material="00"), {"id": OTHER_ID})
    assert len(found) == 4


@pytest.mark.parametrize("content", [[], {}, {"keys": {}}, {"keys": None}, {"keys": ["x"]}, "x"])
def test_other_shapes(tmp_path: Path, content: object) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(content))
    with pytest.raises(BadFile, match=r"must be|keys is missing; give a list of keys"):
        read_keys(path, DEFAULTS)


def test_the_line_of_a_part_of_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(
        f"keys:\n- id: {ID}\n  material: {MATERIAL.hex()}\n  policy:\n    Version: 2012-10-17\n"
        "    Statement:\n    - Effect: Allow\n      Principal: '*'\n      Action: kms\n"
        "      Resource: '*'\n"
    )
    with pytest.raises(BadFile) as caught:
        read_keys(path, DEFAULTS)
    assert str(caught.value).startswith(f"{path}:9: keys[0].policy.Statement[0].Action: 'kms' must")


def test_a_problem_in_a_policy_file_names_both_files(tmp_path: Path) -> None:
    (tmp_path / "app.json").write_text("{}")
    (problem,) = problems(tmp_path, entry(policy_file="app.json"))
    assert problem.startswith(f"keys[0].policy_file: {tmp_path / 'app.json'}: the policy has no St")


def test_many_keys_tell_of_their_progress(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(3)]
    path.write_text(json.dumps({"keys": [entry(id=key_id) for key_id in ids]}))
    told: list[tuple[int, int]] = []
    read_keys(path, DEFAULTS, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("name", ["keys", "principals"])
def test_every_part_of_a_schema_says_what_would_be_right(name: str) -> None:
    def parts(rule: dict[str, Any]) -> list[dict[str, Any]]:
        inner = [rule["items"]] if "items" in rule else []
        inner += rule.get("properties", {}).values()
        inner += rule.get("$defs", {}).values()
        inner += [rule[key] for key in ("additionalProperties", "propertyNames") if rule.get(key)]
        return [rule, *(found for part in inner for found in parts(part))]

    Draft202012Validator.check_schema(schema(name))
    assert all("description" in part or "$ref" in part for part in parts(schema(name)))
