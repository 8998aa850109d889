"""The neighbouring operations answer what real KMS was recorded to answer, over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from kms_fake import serving
from tests.kms_fake import world
from tests.kms_fake.conftest import client as anonymous
from tests.kms_fake.recorded import REGION, World
from tests.kms_fake.recorded_answers import ANSWERS, Answered
from tests.kms_fake.recorded_cases import LOCALSTACK, OTHERS, Recorded

RECORDED = (*LOCALSTACK, *OTHERS)


@pytest.fixture(scope="module")
def asked() -> Iterator[World]:
    """Clients that send what botocore itself would refuse."""
    with serving(world.fake()) as server:
        made: list[Any] = []

        def client(region: str) -> Any:
            unchecked = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
            made.append(
                anonymous(region_name=region, endpoint_url=server.endpoint, config=unchecked)
            )
            return made[-1]

        yield World(client)
        for one in made:
            one.close()


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.source)
def test_the_recorded_error(asked: World, recorded: Recorded) -> None:
    attempt = recorded.make(asked)
    client = asked.kms if attempt.region == REGION else asked.elsewhere
    with pytest.raises(ClientError) as caught:
        getattr(client, attempt.operation)(**attempt.members)
    response = caught.value.response
    error = response["Error"]
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    message = recorded.message.format(**attempt.holes)
    assert (error["Code"], status, error["Message"]) == (recorded.code, 400, message)


@pytest.mark.parametrize("answered", ANSWERS, ids=lambda answered: answered.source)
def test_the_recorded_answer(asked: World, answered: Answered) -> None:
    given = answered.ask(asked)
    given.pop("ResponseMetadata", None)
    later = {name for name in given if name.endswith("KeyMaterialId")} - set(answered.members)
    assert set(given) - later == set(answered.members)
    assert {name: given[name] for name in answered.values} == answered.values


def test_at_least_forty_errors_are_of_different_kinds() -> None:
    kinds = {(row.code, row.message) for row in RECORDED}
    assert len(kinds) >= 40
    assert len({row.source for row in RECORDED}) == len(RECORDED)
