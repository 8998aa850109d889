"""The environment without the user's own AWS: no profile, configuration, endpoint or proxy of it.

The simulator's clients talk to fakes on 127.0.0.1 with credentials of their own, and moto reads the
same configuration that boto3 does. A profile that does not exist, a file that does not parse or a
proxy would lead them astray or stop them. The variables of moto itself, of which MOTO_ACCOUNT_ID
would override every account, are put aside as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_SET = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


def without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """A copy of `environment` in which boto3 finds nothing but what it is told."""
    kept = {name: value for name, value in environment.items() if not _is_aws(name)}
    return {**kept, **_SET}


def _is_aws(name: str) -> bool:
    return name.startswith(("AWS_", "MOTO_"))


@contextmanager
def away_from_aws() -> Iterator[None]:
    """This process in such an environment; what it changes is restored at the end."""
    changed = {name for name in os.environ if _is_aws(name)} | set(_SET)
    before = {name: os.environ.pop(name, None) for name in changed}
    os.environ.update(_SET)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
