"""`cached_property` as it is since Python 3.12: without a lock.

Up to 3.11 that of functools takes a lock that all instances share, so that one thread's request
waits for another's certificates to be verified; the lock alone is dear where a request has twenty
facts. Here two threads at one instance may both work a fact out, and the last one stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

_Value = TypeVar("_Value", covariant=True)  # noqa: PLC0105  # The one type parameter there is.


class cached_property(Generic[_Value]):  # noqa: N801  # It stands in for functools'.
    """A property that is worked out when it is first asked for, and then kept in the instance."""

    def __init__(self, work_out: Callable[[Any], _Value]) -> None:
        self._work_out = work_out
        self.__doc__ = work_out.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> _Value: ...

    def __get__(self, instance: object | None, owner: type) -> Self | _Value:
        if instance is None:
            return self
        # Found before this descriptor from now on, since it sets nothing itself.
        value = instance.__dict__[self._name] = self._work_out(instance)
        return value
