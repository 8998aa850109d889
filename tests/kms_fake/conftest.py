"""Real data beside the project, and the fronts of the KMS fake."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from kms_fake import KmsFake, mock_attested_kms, serving
from tests.kms_fake import world

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "vectors"


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """Real documents and envelopes, which are kept beside the project and never in it."""
    if not SHARED.is_dir():
        pytest.skip("the real samples (../shared/vectors) are not beside this clone")
    return SHARED


@pytest.fixture(scope="session")
def openssl() -> str:
    """The openssl command, a judge that shares no code with this project."""
    found = shutil.which("openssl")
    if found is None:
        pytest.skip("openssl is not installed")
    return found


@pytest.fixture
def fake() -> KmsFake:
    return world.fake()


def client(**arguments: Any) -> Any:
    """A boto3 client with credentials that nobody knows."""
    return boto3.client(
        "kms",
        region_name="us-east-1",
        aws_access_key_id="UNKNOWN",
        aws_secret_access_key="any",  # noqa: S106  # No secret.
        config=Config(retries={"total_max_attempts": 1}),
        **arguments,
    )


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
