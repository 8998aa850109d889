"""The checks of a parent instance on the simulator's own: what its commands print is understood."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from simulator import cli
from simulator.doctor.examine import Examination, examine
from simulator.doctor.model import Outcome
from simulator.doctor.simulated import SimulatedHost
from simulator.machine.configuration import Configuration
from simulator.machine.making import Installation, make

AREAS = ("packages", "driver", "allocator", "enclaves", "docker", "proxy")


@contextmanager
def examined(installation: Installation) -> Iterator[Examination]:
    # Not in pytest's folder: the sockets in the machine's take a short path.
    with TemporaryDirectory(prefix="doctor-") as temporary:
        folder = Path(temporary, "machine")
        make(folder, Configuration(), installation)
        host = SimulatedHost(folder, {"PATH": "/usr/bin", "HOME": "/root"})
        yield examine(host, names=AREAS)
        assert cli.main(["machine", "stop", "--machine", str(folder)]) == 0


def outcomes(examination: Examination) -> dict[str, Outcome]:
    return {result.check.id: result.findings[0].outcome for result in examination.results}


def test_on_a_new_machine_an_enclave_can_run() -> None:
    with examined(Installation()) as examination:
        assert examination.next is None
        found = outcomes(examination)
    sound = ("packages", "driver", "allocator", "enclaves")
    assert {found[name] for name in found if name.startswith(sound)} == {Outcome.OK}
    assert found["proxy.service"] is Outcome.NOTE


def test_without_the_allocator_it_comes_next() -> None:
    with examined(Installation(runs_allocator=False)) as examination:
        assert examination.next is not None
        check, finding = examination.next
    assert check.id == "allocator.service"
    assert finding.command == "systemctl enable --now nitro-enclaves-allocator.service"


def test_why_the_allocator_failed_is_in_its_journal() -> None:
    with examined(Installation(cpus=3)) as examination:
        assert examination.next is not None
        check, finding = examination.next
    assert check.id == "allocator.service"
    assert finding.outcome is Outcome.ERROR
