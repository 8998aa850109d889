"""vsock-proxy's service and its list."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.doctor.checks import proxy
from simulator.doctor.model import Outcome
from tests.simulator.doctor_hosts import command
from tests.simulator.doctor_parents import PROXY, doctor, found, journal, only, parent, unit

(SERVICE,) = proxy.CHECKS
LIST = "/etc/nitro_enclaves/vsock-proxy.yaml"
BUSY = 'Error: "Could not listen for connections: Could not bind to cid: 3 port: 8000"'
KMS = "allowlist:\n- {address: kms.eu-west-1.amazonaws.com, port: 443}\n"
PATH = {"PATH": "/usr/bin"}


def test_it_does_not_run_as_it_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = parent(tmp_path, {}, unit(PROXY, "inactive", "disabled"))
    answer = doctor(folder, capsys, "--only", "proxy", "--fail-on", "warning")
    assert answer["exit_code"] == 0
    (finding,) = answer["findings"]
    assert finding["outcome"] == "note"
    assert f"systemctl enable --now {PROXY}" in finding["found"]


@pytest.mark.parametrize("state", ["failed", "activating"])
def test_why_it_does_not_start_is_said(tmp_path: Path, state: str) -> None:
    commands = [*unit(PROXY, state), journal(PROXY, BUSY)]
    finding = only(SERVICE, parent(tmp_path, {}, commands))
    assert finding.outcome is Outcome.WARNING
    assert finding.found.endswith(BUSY)


def test_a_service_that_is_not_enabled_is_a_note(tmp_path: Path) -> None:
    assert only(SERVICE, parent(tmp_path, {}, unit(PROXY, "active", "disabled"))).outcome is (
        Outcome.NOTE
    )


def test_without_systemd_it_cannot_be_told(tmp_path: Path) -> None:
    refused = command("systemctl", "is-active", PROXY, exit_code=1, stderr="no bus\n")
    finding = only(SERVICE, parent(tmp_path, {}, [refused]))
    assert (finding.outcome, finding.found[-6:]) == (Outcome.NOTE, "no bus")


@pytest.mark.parametrize(
    ("text", "region", "said"),
    [
        (KMS, "us-east-1", "has no kms.us-east-1.amazonaws.com, port 443"),
        (KMS.replace("443", "80"), "", "has no kms. of any Region"),
        ("", "", "is empty: vsock-proxy panics"),
        ("allowlist: {", "", "`Bad yaml format`"),
        (b"\xff\xfe", "", "`Could not read the file`"),
        ("allowlist:\n- {port: 443}\n", "", "`No address field`"),
        ("targets: []\n", "", "`No allowlist field`"),
        (None, "", f"There is no {LIST}"),
    ],
)
def test_a_list_without_kms_is_a_warning(
    tmp_path: Path, text: str | bytes | None, region: str, said: str
) -> None:
    environ = {**PATH, "AWS_REGION": region} if region else PATH
    running, finding = found(SERVICE, parent(tmp_path, {LIST: text}, environ=environ))
    assert running.outcome is Outcome.OK
    assert finding.outcome is Outcome.WARNING
    assert said in finding.found
    # A restart alone mends no list, and would start a service that nobody uses.
    assert (finding.command, f"`systemctl restart {PROXY}`" in finding.fix) == ("", True)


@pytest.mark.parametrize("region", ["eu-west-1", ""])
def test_a_list_with_kms_is_enough(tmp_path: Path, region: str) -> None:
    files = {LIST: KMS + "- {address: broken}\n"}
    environ = {**PATH, "AWS_DEFAULT_REGION": region}
    assert only(SERVICE, parent(tmp_path, files, environ=environ)).outcome is Outcome.OK
