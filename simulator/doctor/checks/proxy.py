"""The check of vsock-proxy's service, by which programs in an enclave may reach KMS.

Not everybody uses it: an application may have a proxy of its own, so that a service which does not
run is a note.
"""

from __future__ import annotations

from collections.abc import Iterator

from kms_fake.evidence import Evidence
from simulator.doctor.host import CommandHangs, CommandMissing, Host
from simulator.doctor.model import Check, Finding, Outcome, Role
from simulator.doctor.parent import last_error, short, unit
from simulator.vsock_proxy.allowlist import named
from simulator.vsock_proxy.failure import Failed, Panic
from simulator.vsock_proxy.shipped import CONFIGURATION

_SERVICE = "nitro-enclaves-vsock-proxy.service"
_PORT, _KMS_PORT = 8000, 443
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


def _service(host: Host) -> Iterator[Finding]:
    yield _state(host)
    wrong = _wrong_list(host)
    if wrong:
        yield Finding(
            outcome=Outcome.WARNING,
            found=wrong,
            fix=f"Write the target into {CONFIGURATION}, as `allowlist:` with `- {{address: "
            f"kms.REGION.amazonaws.com, port: {_KMS_PORT}}}`; then, if it is used, `systemctl "
            f"restart {_SERVICE}`",
        )


def _state(host: Host) -> Finding:
    state = unit(host, _SERVICE)
    match state.active:
        case "active" if state.is_enabled:
            found = f"{_SERVICE} runs, on vsock port {_PORT} of CID 3"
            return Finding(outcome=Outcome.OK, found=found)
        case "active":
            return Finding(
                outcome=Outcome.NOTE,
                found=f"{_SERVICE} runs, and is not enabled: after a reboot it does not",
            )
        case "failed" | "activating":
            return _failed(host, state.active)
        case "inactive":
            return Finding(
                outcome=Outcome.NOTE,
                found=f"{_SERVICE} does not run, as it is installed: a program in an enclave that "
                f"asks 3:{_PORT} for KMS (kmstool) gets no answer, unless another proxy listens "
                f"there. `systemctl enable --now {_SERVICE}` starts it",
            )
        case other:
            return Finding(
                outcome=Outcome.NOTE, found=f"Whether {_SERVICE} runs cannot be told: {other}"
            )


def _failed(host: Host, state: str) -> Finding:
    """It is started again and again (Restart=always): `activating` in between."""
    try:
        said = last_error(host, _SERVICE)
    except (CommandMissing, CommandHangs):
        said = ""
    return Finding(
        outcome=Outcome.WARNING,
        found=f"{_SERVICE} is {state}: {said or 'its journal does not say why'}",
        fix="If it cannot bind to its port, another vsock-proxy listens there: use that one, or "
        "end it; else mend what its journal says",
        command=f"journalctl --no-pager -u {_SERVICE}",
    )


def _wrong_list(host: Host) -> str:
    """Why the proxy will not reach KMS by its list; empty if it will, or nobody has a list."""
    if host.look(CONFIGURATION) is None:
        return f"There is no {CONFIGURATION}: vsock-proxy ends with `Could not open the file`"
    region = next((host.environ[name] for name in _REGIONS if host.environ.get(name)), "")
    wanted = f"kms.{region}.amazonaws.com"
    try:
        for address, port in named(host.read(CONFIGURATION)):
            is_wanted = address == wanted if region else address.startswith("kms.")
            if is_wanted and port == _KMS_PORT:
                return ""
    except Failed as failed:
        return f"{CONFIGURATION} cannot be used: vsock-proxy ends with `{failed}`"
    except Panic:
        return f"{CONFIGURATION} is empty: vsock-proxy panics"
    what = short(wanted) if region else "kms. of any Region"
    return (
        f"{CONFIGURATION} has no {what}, port {_KMS_PORT}: vsock-proxy ends with `The given "
        "address and port are not allowed`"
    )


CHECKS = (
    Check(
        id="proxy.service",
        title="vsock-proxy runs, and its list has KMS",
        why="A program in an enclave has no network: it reaches KMS by a proxy on its parent, CID "
        "3. The one of nitro-cli's package is not enabled when it is installed, and reaches only "
        "what /etc/nitro_enclaves/vsock-proxy.yaml names: as shipped KMS of each Region, neither "
        "STS nor IMDS",
        roles=frozenset({Role.PARENT}),
        probe=_service,
        evidence=Evidence.INFERRED,
        source="aws-nitro-enclaves-cli 1.4.4, vsock_proxy/service and vsock_proxy/src; its issues "
        "648 and 699",
        needs=("packages.cli",),
        explains=("host.vsock-proxy",),
    ),
)
"""In the order in which to mend."""
