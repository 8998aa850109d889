"""The names of the tests: the same in every process, or pytest-xdist gives up."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pytest

DAY = 86_400


def test_no_test_is_named_after_the_time(request: pytest.FixtureRequest) -> None:
    """A parameter that holds the time it is differs where collecting takes a second longer."""
    seconds = [time.time() + days * DAY for days in (-1, 0, 1)]
    dates = [datetime.fromtimestamp(second, UTC).date().isoformat() for second in seconds]
    # The seconds of half a day have the first five of ten digits in common.
    epochs = [f"{str(int(second))[:5]}\\d{{5}}" for second in seconds]
    times = re.compile("|".join((*dates, *(rf"(?<!\d){epoch}" for epoch in epochs))))
    named = [item.nodeid for item in request.session.items if times.search(item.nodeid)]
    assert named == [], "give these parameters an id"
