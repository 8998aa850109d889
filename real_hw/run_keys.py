"""The KMS keys that runs of the suite made, found by their tag, whoever made them and where.

Only a key with the tag `attested-kms:run` is looked at further. How keys are got rid of is in
`real_hw.keys`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from real_hw.actions import Actions, Call, CallRefused
from real_hw.keys import PENDING
from real_hw.permissions import RUN_TAG

_TAGGING = "Resource Groups Tagging API Reference, GetResources"
_WAITING = frozenset({PENDING, "PendingReplicaDeletion"})
_DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
_GONE = "NotFoundException"


@dataclass(frozen=True, slots=True)
class RunKey:
    """A key of a run."""

    arn: str
    run: str
    state: str
    """KeyState of DescribeKey: `Enabled`, `Disabled`, `PendingDeletion` and others."""
    deleted_on: dt.datetime | None = None
    """When KMS deletes it, for one that waits for that."""

    @property
    def id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def is_waiting(self) -> bool:
        """Whether its deletion is scheduled already."""
        return self.state in _WAITING

    def __str__(self) -> str:
        until = f", deleted on {self.deleted_on:%Y-%m-%d}" if self.deleted_on else ""
        return f"key {self.arn} of run {self.run}: {self.state}{until}"


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """The keys of runs in one region, and what may hide more."""

    keys: tuple[RunKey, ...]
    remarks: tuple[str, ...] = ()


def find_keys(actions: Actions, run: str | None) -> FoundKeys:
    """The keys with the tag, of one run or of all. Raises CallRefused, ActionFailed."""
    try:
        tagged = list(_by_tagging(actions, run))
        remarks: tuple[str, ...] = ()
    except CallRefused as error:
        if error.code not in _DENIED:
            raise
        unreadable: list[str] = []
        tagged = list(_by_listing(actions, run, unreadable))
        remarks = tuple(_remarks(unreadable))
    keys = (described(actions, arn, of_run) for arn, of_run in tagged)
    return FoundKeys(tuple(key for key in keys if key is not None), remarks)


def _remarks(unreadable: Sequence[str]) -> Iterator[str]:
    yield (
        "tag:GetResources is not permitted, so every key of the region was asked for its tags "
        "(kms:ListKeys, kms:ListResourceTags)"
    )
    if unreadable:
        yield (
            f"{len(unreadable)} keys did not let their tags be read and were not touched: "
            f"{', '.join(unreadable)}"
        )


def _by_tagging(actions: Actions, run: str | None) -> Iterator[tuple[str, str]]:
    wanted: dict[str, Any] = {"Key": RUN_TAG} | ({"Values": [run]} if run else {})
    members: dict[str, Any] = {"TagFilters": [wanted], "ResourceTypeFilters": ["kms:key"]}
    token = ""
    while True:
        more = {"PaginationToken": token} if token else {}
        answer = actions.call(
            Call(
                *("resourcegroupstaggingapi", "GetResources", {**members, **more}),
                why="the keys that carry the tag of a run",
                source=_TAGGING,
                stand_in={"ResourceTagMappingList": []},
            )
        )
        for mapping in answer["ResourceTagMappingList"]:
            yield from _of_run(mapping["ResourceARN"], mapping["Tags"], ("Key", "Value"), run)
        token = answer.get("PaginationToken") or ""
        if not token:
            return


def _by_listing(
    actions: Actions, run: str | None, unreadable: list[str]
) -> Iterator[tuple[str, str]]:
    for arn in _listed(actions):
        try:
            tags = list(_tags(actions, arn))
        except CallRefused as error:
            if error.code not in _DENIED | {_GONE}:
                raise
            if error.code in _DENIED:
                unreadable.append(arn)
            continue
        yield from _of_run(arn, tags, ("TagKey", "TagValue"), run)


def _listed(actions: Actions) -> Iterator[str]:
    for answer in _pages(actions, "ListKeys", {}, "every key of the region"):
        yield from (key["KeyArn"] for key in answer["Keys"])


def _tags(actions: Actions, arn: str) -> Iterator[Mapping[str, str]]:
    for answer in _pages(actions, "ListResourceTags", {"KeyId": arn}, "whether a run made it"):
        yield from answer["Tags"]


def _pages(
    actions: Actions, operation: str, members: Mapping[str, Any], why: str
) -> Iterator[Mapping[str, Any]]:
    marker: Mapping[str, Any] = {}
    while True:
        answer = actions.call(_kms(operation, {**members, **marker}, why))
        yield answer
        if not answer.get("Truncated"):
            return
        marker = {"Marker": answer["NextMarker"]}


def _of_run(
    arn: str, tags: Sequence[Mapping[str, str]], names: tuple[str, str], run: str | None
) -> Iterator[tuple[str, str]]:
    """The key and its run, if the tags really say so: whatever the service filtered by."""
    name, value = names
    for tag in tags:
        if tag[name] == RUN_TAG and run in {None, tag[value]}:
            yield arn, tag[value]


def described(actions: Actions, arn: str, run: str) -> RunKey | None:
    """The key as it is now; None for one that is gone."""
    try:
        answer = actions.call(_kms("DescribeKey", {"KeyId": arn}, "the key's state"))
    except CallRefused as error:
        if error.code == _GONE:
            return None
        raise
    metadata = answer["KeyMetadata"]
    return RunKey(arn, run, metadata["KeyState"], metadata.get("DeletionDate"))


def _kms(operation: str, members: Mapping[str, Any], why: str) -> Call:
    return Call("kms", operation, members, why, source=f"AWS KMS API Reference, {operation}")
