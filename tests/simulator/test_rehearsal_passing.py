"""Time that a rehearsal lets pass passes for the world, and nobody waits."""

from __future__ import annotations

import json
import urllib.request

import pytest

from kms_fake import KmsFake
from kms_fake.roots import root_from_der
from nsm_fake import NsmPki
from simulator.clock import SimulatedClock
from simulator.management import Managed, managing
from simulator.rehearsal.passing import Passing


def test_the_clocks_are_moved() -> None:
    clock, pki = SimulatedClock(), NsmPki()
    fake = KmsFake([root_from_der(pki.root_certificate_der)], clock=clock)
    with managing(Managed(fake, clock, pki, enclave_clock=clock)) as management:
        passing = Passing(management.endpoint)
        before, now = passing.clock(), clock()
        passing.wait(290)
        passing.wait(20)
        assert passing.clock() - before >= 310
        assert clock() - now >= 310_000
        with urllib.request.urlopen(f"{management.endpoint}/clock") as answer:  # noqa: S310  # Of ours.
            assert json.load(answer)["kms"]["offset_seconds"] == pytest.approx(310)
