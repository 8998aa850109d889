"""The environment without the user's own AWS: no profile, configuration, endpoint or proxy of it.

The simulator's clients talk to fakes on 127.0.0.1 with credentials of their own, and moto reads the
same configuration that boto3 does. A profile that does not exist, a file that does not parse or a
proxy would lead them astray or stop them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_PREFIX = "AWS_"


def without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """A copy of `environment` in which boto3 finds nothing but what it is told."""
    kept = {name: value for name, value in environment.items() if not name.startswith(_PREFIX)}
    return {
        **kept,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


@contextmanager
def away_from_aws() -> Iterator[None]:
    """This process in such an environment; its own is restored at the end."""
    before = dict(os.environ)
    _replace(without_aws(before))
    try:
        yield
    finally:
        _replace(before)


def _replace(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
