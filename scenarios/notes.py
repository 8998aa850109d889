"""The steps of the scenario that runs, as they are noted.

For results, records and the report; the form is in `simulator/schemas/results.schema.json`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from scenarios.answers import failure, told
from scenarios.normalising import shape
from scenarios.target import Answer, NotSent

Step = dict[str, Any]
_Given = TypeVar("_Given", bound=Answer)


class Notes:
    """What a scenario did and what came of it, in order."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def begin(self) -> None:
        """Another scenario begins, with a list of its own."""
        self.steps = []

    def add(self, kind: str, **members: Any) -> Step:
        """Note a step; what is None is left out."""
        step = {"kind": kind} | {name: it for name, it in members.items() if it is not None}
        self.steps.append(step)
        return step

    def observe(self, name: str, answer: Answer, *, rules: tuple[str, ...] = ()) -> None:
        """Note an answer that settles what is unknown (`scenarios.target.Observe`)."""
        if any(step["kind"] == "observation" and step["name"] == name for step in self.steps):
            raise ValueError(f"two observations of this scenario are named {name!r}")
        self.add("observation", name=name, rules=list(rules), answer=told(answer))

    @contextmanager
    def timed(self, kind: str, **members: Any) -> Iterator[Step]:
        """Note a step and, at the end of the context, how many seconds it took."""
        step = self.add(kind, **members)
        began = time.perf_counter()
        try:
            yield step
        finally:
            step["seconds"] = round(time.perf_counter() - began, 3)

    def kms(
        self,
        operation: str,
        request: Mapping[str, Any],
        call: Callable[[], _Given],
        *,
        by: str = "parent",
        **more: Any,
    ) -> _Given:
        """Note a call of KMS with its answer, or how it ended without one."""
        members = {"by": by, "operation": operation, "request": shape(request), **more}
        with self.timed("kms", **members) as step:
            try:
                answer = call()
            except NotSent as error:
                step["answer"] = told(error)
                raise
            except BaseException as error:
                step["answer"] = failure(error)
                raise
            step["answer"] = told(answer)
            return answer
