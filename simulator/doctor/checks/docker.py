"""Checks of the Docker engine, which build-enclave takes images from.

Never more than warnings: a parent instance that runs images which are built elsewhere needs none.
"""

from __future__ import annotations

from collections.abc import Iterator

from kms_fake.evidence import Evidence
from simulator.doctor.host import Host
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.os_release import Distribution, distribution
from simulator.doctor.parent import joining, members, short, unit, user

SOCKET = "/var/run/docker.sock"

_PARENT = frozenset({Role.PARENT})
_SERVICE = "docker.service"
_GROUP = "docker"
_STATES = ("active", "activating", "inactive", "failed", "deactivating")
_INSTALLATIONS = {
    Distribution.AMAZON_2023: "dnf install -y docker",
    Distribution.AMAZON_2: "amazon-linux-extras install -y docker",
    Distribution.DEBIAN: "apt-get install -y docker.io",
}
_ELSEWHERE = "; images that are built elsewhere run without it"


def _service(host: Host) -> Iterator[Finding]:
    elsewhere = host.environ.get("DOCKER_HOST")
    if elsewhere:
        yield Finding(
            outcome=Outcome.NOTE,
            found=f"DOCKER_HOST is {short(elsewhere)}: nitro-cli asks that engine, and it is not "
            "looked at here",
        )
        return
    if host.which("docker") is None and host.which("dockerd") is None:
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"There is no Docker engine: build-enclave ends with E50 or E48{_ELSEWHERE}",
            fix="Install it, then enable and start it",
            command=installation(distribution(host)),
        )
        return
    state = unit(host, _SERVICE)
    if state.active not in _STATES:
        there = "is there" if host.look(SOCKET) is not None else "is not there either"
        yield Finding(
            outcome=Outcome.NOTE,
            found=f"Whether {_SERVICE} runs cannot be told ({state.active}); {SOCKET} {there}",
        )
    elif state.active != "active":
        yield Finding(
            outcome=Outcome.WARNING,
            found=f"{_SERVICE} is {state.active}: build-enclave ends with E50 Docker image pull "
            f"error, though the image may be here{_ELSEWHERE}",
            fix="Enable and start it",
            command=f"systemctl enable --now {_SERVICE}",
        )
    elif not state.is_enabled:
        yield Finding(
            outcome=Outcome.NOTE,
            found=f"{_SERVICE} runs, and is not enabled: after a reboot it does not",
        )
    else:
        yield Finding(outcome=Outcome.OK, found=f"{_SERVICE} runs, and is enabled")


def installation(of: Distribution) -> str:
    """The command that installs and starts it; empty where none is known."""
    line = _INSTALLATIONS.get(of)
    return f"{line} && systemctl enable --now {_SERVICE}" if line else ""


def _group(host: Host) -> Iterator[Finding]:
    if host.environ.get("DOCKER_HOST"):
        yield Finding(outcome=Outcome.SKIPPED, found="DOCKER_HOST leads to another engine")
    elif host.look(SOCKET) is None:
        yield Finding(outcome=Outcome.SKIPPED, found=f"There is no {SOCKET}: no engine runs")
    elif host.user_id == 0 or host.may_write(SOCKET):
        yield Finding(outcome=Outcome.OK, found=f"{SOCKET} may be used")
    else:
        yield refused(host)


def refused(host: Host) -> Finding:
    """What to do where the socket may not be used. Raises OSError."""
    name, group = user(host), members(host, _GROUP)
    if name is not None and group is not None and name in group:
        return Finding(
            outcome=Outcome.WARNING,
            found=f"{SOCKET} may not be used, though {name} is in the group {_GROUP}",
            fix="Log out and in again: groups count from the next login on",
        )
    found = (
        f"{SOCKET} may not be used: {name or 'whoever asks'} is not in the group {_GROUP}, and "
        "build-enclave fails"
    )
    fix, command = joining(_GROUP, name)
    return Finding(outcome=Outcome.WARNING, found=found, fix=fix, command=command)


CHECKS = (
    Check(
        id="docker.service",
        title="A Docker engine runs, for build-enclave",
        why="build-enclave --docker-uri asks it for the image, or lets it build one "
        "(--docker-dir). With the engine stopped it says E50 Docker image pull error, which looks "
        "like a wrong name",
        roles=_PARENT,
        probe=_service,
        evidence=Evidence.INFERRED,
        source="aws-nitro-enclaves-cli 1.4.4, enclave_build/src/docker.rs; AWS Nitro Enclaves User "
        "Guide, Installing the Nitro CLI (systemctl enable --now docker)",
        explains=("host.docker-pull",),
    ),
    Check(
        id="docker.group",
        title="Whoever builds images may use the Docker engine",
        why="Its socket belongs to root and to the group docker: nitro-cli build-enclave of "
        "another user is refused",
        roles=_PARENT,
        probe=_group,
        evidence=Evidence.DOCUMENTED,
        source="AWS Nitro Enclaves User Guide, Installing the Nitro CLI (usermod -aG docker)",
        explains=("host.docker-pull",),
    ),
)
"""In the order in which to mend."""
