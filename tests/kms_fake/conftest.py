"""The fronts of the KMS fake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from kms_fake import KmsFake, mock_attested_kms, serving
from tests.kms_fake import world


@pytest.fixture
def fake() -> KmsFake:
    return world.fake()


def client(**arguments: Any) -> Any:
    """A boto3 client with credentials that nobody knows."""
    usual: dict[str, Any] = {
        "region_name": "us-east-1",
        "aws_access_key_id": "UNKNOWN",
        "aws_secret_access_key": "any",
        "config": Config(retries={"total_max_attempts": 1}),
    }
    return boto3.client("kms", **{**usual, **arguments})


@pytest.fixture(params=["socket", "mock_aws"])
def kms(request: pytest.FixtureRequest, fake: KmsFake) -> Iterator[Any]:
    """A boto3 client of the fake, over a real socket and inside moto's mock."""
    if request.param == "mock_aws":
        with mock_attested_kms(fake):
            yield client()
    else:
        with serving(fake) as server:
            connected = client(endpoint_url=server.endpoint)
            yield connected
            connected.close()
