"""Explanations: the parent instance's packages, tools and proxy.

What nitro-cli says is in `nitro_cli`, how an enclave dies in `boot`, the allocator and the driver
in `allocator`.
"""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations.model import Claim, Explanation

EXPLANATIONS = (
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
        id="host.linker",
        error="error: linker `cc` not found",
        texts=("linker `cc` not found",),
        meaning="Rust's compiler has no C linker.",
        fix="dnf install -y gcc gcc-c++ make",
        field_note="4",
        claim=Claim(Evidence.REPORTED, "a run of cargo without gcc"),
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
