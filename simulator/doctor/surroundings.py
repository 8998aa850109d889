"""What is around whoever asks: a container, or the machine itself."""

from __future__ import annotations

from simulator.doctor.host import Host

_MARKS = ("/.dockerenv", "/run/.containerenv")
"""Files that Docker and Podman put into each of their containers."""


def is_container(host: Host) -> bool:
    """Whether this is a container of Docker's or Podman's. Raises OSError."""
    return any(host.look(mark) is not None for mark in _MARKS)
