"""How time passes in a rehearsal: the world's clocks are moved, and nobody waits."""

from __future__ import annotations

import json
import time
import urllib.request


class Passing:
    """The clocks of a world, at its management endpoint."""

    def __init__(self, management_endpoint: str) -> None:
        self._url = f"{management_endpoint}/clock"
        self._moved = 0.0

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass for KMS and for the enclaves. Raises OSError."""
        self._moved += seconds
        body = json.dumps({"of": "all", "offset_seconds": self._moved}).encode()
        asked = urllib.request.Request(  # noqa: S310  # A listener of ours, by HTTP.
            self._url, data=body, method="PUT", headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=30):  # noqa: S310  # The same.
            pass

    def clock(self) -> float:
        """Seconds since some moment, with those that were let pass."""
        return time.monotonic() + self._moved
