"""Keys found by alias and by the header of a ciphertext, while aliases and keys come and go."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.kms.models import KmsBackend, kms_backends

from kms_fake.fake import DEFAULT_REGION
from kms_fake.keys import KmsKey, MotoKeys

ALIAS = "alias/app"


@pytest.fixture(autouse=True)
def aws() -> Iterator[None]:
    with mock_aws():
        yield


def new_key(*, multi_region: bool = False) -> str:
    kms = boto3.client("kms", region_name=DEFAULT_REGION)
    key_id: str = kms.create_key(MultiRegion=multi_region)["KeyMetadata"]["KeyId"]
    return key_id


def found(name: str) -> str | None:
    key = MotoKeys(DEFAULT_ACCOUNT_ID, DEFAULT_REGION).named(name)
    return key.key_id if isinstance(key, KmsKey) else None


def test_an_alias_is_followed_wherever_it_points() -> None:
    kms = boto3.client("kms", region_name=DEFAULT_REGION)
    first, second = new_key(), new_key()
    kms.create_alias(AliasName=ALIAS, TargetKeyId=first)
    assert found(ALIAS) == first
    kms.update_alias(AliasName=ALIAS, TargetKeyId=second)
    assert found(ALIAS) == second
    kms.delete_alias(AliasName=ALIAS)
    assert found(ALIAS) is None
    kms.create_alias(AliasName=ALIAS, TargetKeyId=first)
    assert found(ALIAS) == first


def test_an_alias_is_forgotten_with_everything_else() -> None:
    kms = boto3.client("kms", region_name=DEFAULT_REGION)
    kms.create_alias(AliasName=ALIAS, TargetKeyId=new_key())
    assert found(ALIAS)
    kms_backends[DEFAULT_ACCOUNT_ID][DEFAULT_REGION].reset()
    assert found(ALIAS) is None


def test_an_alias_that_was_found_costs_no_second_search() -> None:
    kms = boto3.client("kms", region_name=DEFAULT_REGION)
    kms.create_alias(AliasName=ALIAS, TargetKeyId=new_key())
    assert found(ALIAS)
    with patch.object(KmsBackend, "get_key_id_from_alias", side_effect=AssertionError):
        assert found(ALIAS)


def test_the_cut_header_of_a_multi_region_key_names_it_each_time() -> None:
    key_id = new_key(multi_region=True)
    for _ in range(2):
        key = MotoKeys(DEFAULT_ACCOUNT_ID, DEFAULT_REGION).of_header(key_id[:36])
        assert key is not None
        assert key.key_id == key_id
    assert MotoKeys(DEFAULT_ACCOUNT_ID, DEFAULT_REGION).of_header("mrk-" + "0" * 32) is None
