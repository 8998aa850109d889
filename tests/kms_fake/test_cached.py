"""A fact is worked out once for each instance, and no instance waits for another."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Barrier, Thread

from kms_fake.cached import cached_property


@dataclass(frozen=True)
class Asked:
    """Frozen, as a `Call` is."""

    barrier: Barrier
    asked: list[str] = field(default_factory=list)

    @cached_property
    def fact(self) -> int | None:
        """A fact."""
        self.asked.append("fact")
        self.barrier.wait(timeout=10)
        return None


def test_a_fact_is_worked_out_once_even_if_it_is_none() -> None:
    asked = Asked(Barrier(1))
    assert asked.fact is None
    assert asked.fact is None
    assert asked.asked == ["fact"]


def test_two_instances_work_at_the_same_time() -> None:
    """Each waits within for the other: under a lock that they share, neither would end."""
    barrier = Barrier(2)
    both = [Asked(barrier), Asked(barrier)]
    threads = [Thread(target=lambda one=one: one.fact) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not barrier.broken
    assert [one.asked for one in both] == [["fact"], ["fact"]]


def test_its_documentation_is_the_facts() -> None:
    assert Asked.fact.__doc__ == "A fact."
