"""Fixtures that tests of the simulator share."""

from tests.simulator.supervised import rung

__all__ = ["rung"]
