"""Explanations: the parent instance's own errors of the field notes, which are not KMS's."""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations.model import Cause, Claim, Explanation

_NITRO_CLI = Claim(Evidence.DOCUMENTED, "aws-nitro-enclaves-cli 1.4.4, its sources")

EXPLANATIONS = (
    Explanation(
        id="host.reboot",
        error="execvpe: ...: No such file or directory; reboot: Restarting system",
        texts=("execvpe:", "reboot: Restarting system"),
        near=("enclave", "execvpe", "nitro"),
        meaning="The enclave's program could not start, or ended; its init then reboots.",
        fix="Put program and arguments into CMD, and let the program not end.",
        causes=(
            Cause(
                "ENTRYPOINT and CMD together: nitro-cli takes CMD and drops ENTRYPOINT",
                "execvpe names the first word of CMD",
            ),
            Cause("A path that is not absolute, or a dynamic binary on scratch", "ldd"),
            Cause("The program returned", "no message but the reboot"),
        ),
        field_note="1",
        correction="The notes say that /init must exec the program. Theirs did not: it kept "
        "running after the program. What helped was the right command, and an init that does "
        "not end.",
        claim=Claim(
            Evidence.REPORTED, "tsyrulb/EphemeralML, commits of 2026-01-26; sdk-bootstrap init.c"
        ),
    ),
    Explanation(
        id="host.package",
        error="Unable to find a match: aws-nitro-enclaves-allocator",
        texts=(
            "Unable to find a match: aws-nitro-enclaves-allocator",
            "No match for argument: aws-nitro-enclaves-allocator",
        ),
        meaning="There is no such package, and dnf then installs none of the others.",
        fix="dnf install -y aws-nitro-enclaves-cli aws-nitro-enclaves-cli-devel; the allocator "
        "is in the first.",
        field_note="2",
        claim=Claim(Evidence.REPORTED, "a run of dnf 4; the packages' spec file"),
    ),
    Explanation(
        id="host.artifacts-path",
        error="[ E51 ] Artifacts path environment variable not set.",
        texts=("Artifacts path environment variable not set",),
        meaning="nitro-cli build-enclave has no folder to work in.",
        fix="Set HOME, or NITRO_CLI_ARTIFACTS to a folder.",
        causes=(Cause("SSM, cron or systemd, which set no HOME", "env"),),
        field_note="3",
        claim=_NITRO_CLI,
    ),
    Explanation(
        id="host.linker",
        error="error: linker `cc` not found",
        texts=("linker `cc` not found",),
        meaning="Rust's compiler has no C linker.",
        fix="dnf install -y gcc gcc-c++ make",
        field_note="4",
        claim=Claim(Evidence.REPORTED, "a run of cargo without gcc"),
    ),
    Explanation(
        id="host.cpu-pool",
        error="[ E29 ] Ioctl failure. ... [ E39 ] Enclave process connection failure.",
        texts=(
            "E29 ] Ioctl failure",
            "E39 ] Enclave process connection failure",
            "no CPUs are available in the pool",
        ),
        meaning="nitro-cli run-enclave could not get CPUs or memory.",
        fix="nitro-cli describe-enclaves, then nitro-cli terminate-enclave --enclave-id ID.",
        causes=(
            Cause("An enclave that still runs holds the CPUs", "describe-enclaves"),
            Cause("The allocator has not run", "systemctl status nitro-enclaves-allocator"),
            Cause("Another ioctl failed", "BACKTRACE=1 nitro-cli run-enclave ..."),
        ),
        field_note="9",
        claim=_NITRO_CLI,
    ),
    Explanation(
        id="host.vsock-proxy",
        error='Error: "Could not listen for connections: Could not bind to cid: 3 port: 8000"',
        texts=("Could not bind to cid: 3 port",),
        meaning="vsock-proxy runs already, often as a service.",
        fix="Use the one that runs, or systemctl stop nitro-enclaves-vsock-proxy.",
        claim=Claim(Evidence.REPORTED, "aws-nitro-enclaves-cli, issue 699"),
    ),
)
