"""Whatever happens at whatever step: nothing is left but keys that are to be deleted."""

from __future__ import annotations

import signal

import pytest

from real_hw.actions import ActionFailed
from real_hw.interruption import SIGNALS, Interrupted, Interruption
from real_hw.target import HardwareTarget
from real_hw.undo import CleanupFailed
from scenarios.target import Finished, TargetUnavailable
from tests.real_hw.scripted import Scripted, settings


def a_run(world: Scripted) -> None:
    """What a run does, in short: keys, an enclave, one in debug mode, one of a scenario."""
    target = HardwareTarget(settings=settings(), actions=world, say=world.told.append)
    try:
        target.key([{"Effect": "Allow"}]).encrypt(b"secret")
        target.enclave()
        target.enclave(debug=True)
        with target.parent_instance() as parent:
            parent.image(cmd=["/hello"])
            parent.nitro_cli("run-enclave", "--eif-path", "app.eif")
    finally:
        target.close()


def steps() -> list[str]:
    world = Scripted()
    a_run(world)
    assert world.left == []
    return world.done


STEPS = steps()
BY_CLOSING = STEPS.index("docker image rm")
"""From here on the run removes what it made."""
ENDED = [
    (when, step)
    for step, name in enumerate(STEPS[:BY_CLOSING])
    for when in ("before", "after")
    # A process that is started is known at once, and what is being removed no signal stops.
    if not (when == "after" and name.startswith(("start", "ask", "remove")))
    and name != "remove scenario-files"
]


def test_a_run_makes_and_removes_everything() -> None:
    world = Scripted()
    a_run(world)
    assert world.left == []
    assert set(world.keys.values()) == {"PendingDeletion"}
    states: dict[int, list[str]] = {}
    for line in world.ledger[1:]:  # The first tells of the process.
        states.setdefault(line["step"], []).append(line["state"])
    assert set(map(tuple, states.values())) == {("begun", "made", "undone")}
    assert "key arn:aws:kms:eu-west-1:123456789012:key/key-1: PendingDeletion" in world.told


@pytest.mark.parametrize(
    ("when", "step"), ENDED, ids=[f"{when}-{step}-{STEPS[step]}" for when, step in ENDED]
)
@pytest.mark.parametrize("error", [Interrupted("SIGTERM"), ActionFailed("the network is cut")])
def test_nothing_is_left_whatever_step_ends_it(error: BaseException, when: str, step: int) -> None:
    """Also where the step was done and its answer was lost."""

    def end(_: str) -> None:
        if len(world.done) == step + 1:
            raise error

    world = Scripted(**{when: end})
    with pytest.raises((Interrupted, ActionFailed, TargetUnavailable)):
        a_run(world)
    assert world.left == []


def test_an_undoing_that_fails_is_told_and_the_others_go_on() -> None:
    world = Scripted(fail={"docker image rm": Finished(1, "", "the daemon is gone")})
    with pytest.raises(CleanupFailed, match=r"attested-kms hardware clean removes.*daemon is gone"):
        a_run(world)
    assert sorted(world.left) == [
        "attested-kms-1234-enclave:latest",
        "attested-kms-1234-scenario-1:latest",
    ]
    assert sum(line.startswith("not removed: docker-image") for line in world.told) == 2


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_becomes_an_exception_once(number: signal.Signals) -> None:
    told: list[str] = []
    interruption = Interruption(told.append)
    before = signal.getsignal(number)
    interruption.install()
    try:
        with pytest.raises(Interrupted, match=number.name):
            signal.raise_signal(number)
        signal.raise_signal(number)
        assert len(told) == 1
        assert "please wait" in told[0]
    finally:
        interruption.restore()
    assert signal.getsignal(number) is before


def test_a_signal_waits_for_what_could_not_be_found_again() -> None:
    told: list[str] = []
    done: list[str] = []
    interruption = Interruption(told.append)
    interruption.install()

    def make() -> None:
        with interruption.held("the enclave boots"):
            signal.raise_signal(signal.SIGTERM)
            with interruption.held("within"):
                done.append("made")
            done.append("named")

    try:
        with pytest.raises(Interrupted, match="SIGTERM"):
            make()
        with pytest.raises(Interrupted):
            interruption.check()  # Had the exception been lost, the next action would raise it.
        with interruption.undoing():
            interruption.check()
            signal.raise_signal(signal.SIGINT)
    finally:
        interruption.restore()
    assert done == ["made", "named"]
    assert "the run ends as soon as this has answered: the enclave boots" in told[0]
    assert told[1].startswith("SIGINT")


def test_a_signal_while_a_scenarios_enclave_is_ended_ends_the_run_afterwards() -> None:
    def signalled(name: str) -> None:
        if name == "remove scenario-files":
            signal.raise_signal(signal.SIGTERM)

    world = Scripted(before=signalled)
    with pytest.raises(Interrupted, match="SIGTERM"):
        a_run(world)
    assert world.left == []


def test_a_boot_that_failed_is_not_tried_again() -> None:
    world = Scripted(fail={"nitro-cli build-enclave": ActionFailed("no docker")})
    target = HardwareTarget(settings=settings(), actions=world, say=world.told.append)
    for message in ("no docker", "as before: no docker"):
        with pytest.raises(ActionFailed, match=message):
            target.enclave()
    target.close()
    assert world.done.count("nitro-cli build-enclave") == 1
    assert world.left == []
