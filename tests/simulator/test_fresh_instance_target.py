"""The fresh instance of the simulator's target, beside what the scenarios show of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scenarios.target import Capability, Finished
from simulator.fresh_instance_target import FreshInstances, SimulatedFreshInstance
from simulator.target import SimulatorTarget

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(name="instances", scope="module")
def _instances() -> Iterator[FreshInstances]:
    made = FreshInstances(server=NOBODY, role_arn="arn:aws:iam::123456789012:role/EnclaveInstance")
    try:
        if not made.can_be():
            pytest.skip("no instance can be laid over this machine (attested-kms machine shell)")
        yield made
    finally:
        made.close()


def test_what_is_done_stays_with_the_instance(instances: FreshInstances) -> None:
    with instances.fresh_instance(with_rustup=False) as first:
        made = first.shell("ls hello && echo mine > file && echo mine > /etc/nitro-test && exit 3")
        assert (made.exit_code, made.stderr) == (3, "")
        assert "Dockerfile" in made.stdout.split()
        assert first.shell("cat file /etc/nitro-test").stdout == "mine\nmine\n"
        with instances.fresh_instance(with_rustup=False) as second:
            assert second.shell("cat file /etc/nitro-test").exit_code == 1


def test_variables_are_those_of_a_login_and_the_scenario_s(instances: FreshInstances) -> None:
    shown = 'echo "$HOME ${MINE-none}"'
    with instances.fresh_instance(with_rustup=True) as instance:
        assert instance.shell(shown).stdout == "/home/ec2-user none\n"
        assert instance.shell("command -v cargo").stdout == "/home/ec2-user/.cargo/bin/cargo\n"
        changed = instance.shell(f"set -u; {shown}", environment={"HOME": None, "MINE": "it's"})
        assert "HOME: unbound variable" in changed.stderr
        assert instance.shell(shown, environment={"HOME": "", "MINE": "a b"}).stdout == " a b\n"


def test_sudo_finds_what_is_this_system_s(instances: FreshInstances) -> None:
    with instances.fresh_instance(with_rustup=False) as instance:
        assert instance.shell("sudo env -i /bin/echo this").stdout == "this\n"
        assert instance.shell("sudo rpm -q bash").exit_code == 0
        missing = instance.shell("sudo nitro-cli --version")
        assert (missing.exit_code, missing.stderr) == (1, "sudo: nitro-cli: command not found\n")


def test_where_no_instance_can_be_both_capabilities_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = Finished(70, "", "attested-kms machine shell: ...")
    monkeypatch.setattr(SimulatedFreshInstance, "shell", lambda _self, _script: refused)
    with SimulatorTarget() as target:
        missing = {Capability.FRESH_INSTANCE, Capability.SYSTEMS_MANAGER}
        assert frozenset(Capability) - target.capabilities >= missing
