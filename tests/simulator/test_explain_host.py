"""`attested-kms explain` of what nitro-cli, the allocator, the driver and the console say."""

from __future__ import annotations

import pytest

from simulator.explanations import explain, nitro_cli
from simulator.nitro_cli.errors import ERRORS

BUG_1 = """\
[    0.171230] nsm: loading out-of-tree module taints kernel.
execvpe: --mode: No such file or directory
child exited with error
[    0.173451] reboot: Restarting system
[    0.174002] reboot: machine restart
[ E45 ] Enclave console read error. Such error appears when reading from a running enclave's \
console fails.
"""
BUG_9 = """\
[ E29 ] Ioctl failure. Such error is used as a general ioctl error and appears whenever an ioctl \
fails. In this case, the error backtrace provides detailed information on what specifically failed.
Failed connections: 1
[ E39 ] Enclave process connection failure. Such error appears when the enclave manager fails to \
connect to at least one enclave process for retrieving the description information.
"""
E19 = "[ E19 ] File operation failure. Such error appears when the system fails to perform it.\n"
DESCRIBED = '"State": "RUNNING",\n    "Flags": "DEBUG_MODE",\n    "Measurements": {'
PANIC = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b"
NOISE = """\
nitro_enclaves: No CPUs available in CPU pool
nitro_enclaves: Error in setup CPU pool [rc=-22]
"""


def ids(text: str) -> list[str]:
    return [match.explanation.id for match in explain(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BUG_1, "host.reboot"),
        ("reboot: Restarting system\nreboot: machine restart", "host.reboot"),
        ("execvpe: /app: Exec format error", "host.reboot"),
        ("child exited by signal", "host.reboot"),
        ("Received hang-up event from the enclave.", "host.reboot"),
        (PANIC, "host.unpacked-memory"),
        ("[ E51 ] Artifacts path environment variable not set.", "host.artifacts-path"),
        (f"{E19}File: '/usr/share/nitro_enclaves/blobs//cmdline', failing", "host.blobs"),
        (f"{E19}File: '/dev/nitro_enclaves', failing operation: 'Open'.", "host.no-device"),
        (f"{E19}File: 'app.eif', failing operation: 'Open'.\n{BUG_9[-190:]}", "host.no-eif"),
        (f"{E19}File: '/var/log/x', failing operation: 'Write'.", "host.file-operation"),
        (BUG_9, "host.cpu-pool"),
        ("because no CPUs are available in the pool", "host.cpu-pool"),
        ("Enclave process connection failure.", "host.enclave-process"),
        ("Insufficient CPUs available in the pool. User provided `cpu-count`", "host.cpu-count"),
        ("Insufficient memory requested. User provided `memory`", "host.eif-memory"),
        ("which is more than the available hugepage memory, nitro-cli E27", "host.huge-pages"),
        ("Enclave boot heartbeat vsock connection - vsock bind error", "host.boot-failure"),
        ("Waiting on enclave to boot failed with error VsockTimeoutError", "host.boot-failure"),
        ("Docker error: UnsupportedEntryPoint\n[ E48 ] EIF building error.", "host.no-command"),
        ("[ E48 ] EIF building error. Such error appears when", "host.eif-building"),
        ("Docker error: PullError\n[ E50 ] Docker image pull error.", "host.docker-pull"),
        ("Failed to create EIF signature checker: ", "host.empty-eif"),
        ("[ E11 ] Socket error. This is used as an error for", "host.no-such-enclave"),
        ("The parameter `MISSING_INFO` is not a valid integer, nitro-cli E03", "host.cid"),
        ("Read from disk failure. Such error appears when", "host.sockets-folder"),
        ("started with the debug flag set, include '--debug-mode'", "host.console-mode"),
        (DESCRIBED, "host.debug-measurements"),
        (NOISE, "host.driver-noise"),
        ("nitro_enclaves: CPU 3 is not in CPU pool", "host.pool-refused"),
        ("nitro_enclaves: The CPU pool is used by enclave(s)", "host.pool-in-use"),
        ("Could not re-online CPUs because there is at least one", "host.pool-in-use"),
        ("Config error: missing memory reservation (`memory_mib`).", "host.allocator-config"),
        ("Error in /etc/nitro_enclaves/allocator.yaml:7 - unexpected:", "host.allocator-config"),
        ("Failed to find suitable CPUs for the Nitro Enclaves", "host.allocator-cpus"),
        ("Failed to configure entire amount of requested memory.", "host.allocator-memory"),
        ("Error: The CPU pool file is missing.", "host.allocator-driver"),
    ],
)
def test_a_fragment_that_a_user_would_paste(text: str, expected: str) -> None:
    assert ids(text) == [expected]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("E03", "host.cid"),
        ("E07", "host.sockets-folder"),
        ("E11", "host.no-such-enclave"),
        ("E19", "host.file-operation"),
        ("E22", "host.cpu-count"),
        ("E26", "host.eif-memory"),
        ("E27", "host.huge-pages"),
        ("E29", "host.cpu-pool"),
        ("E36", "host.boot-failure"),
        ("E39", "host.enclave-process"),
        ("E44", "host.console-mode"),
        ("E45", "host.console-read"),
        ("E48", "host.eif-building"),
        ("E50", "host.docker-pull"),
        ("E51", "host.artifacts-path"),
        ("E59", "host.empty-eif"),
    ],
)
def test_a_number_alone_or_beside_the_name_of_its_program(code: str, expected: str) -> None:
    assert ids(code) == ids(f"[ {code} ]") == ids(f"nitro-cli ended with {code}.") == [expected]
    assert ids(f"flake8 says {code}: look at line 3") == []


def test_the_code_behind_which_the_reason_stands_is_not_shown_beside_it() -> None:
    assert ids("E39, after the enclave's E22") == ["host.cpu-count"]


def test_the_messages_that_nitro_cli_prints_are_found() -> None:
    explained = {one.code: one.id for one in nitro_cli.EXPLANATIONS if one.code}
    assert {code: ids(ERRORS[code].message(())) for code in explained} == {
        code: [one] for code, one in explained.items()
    }
