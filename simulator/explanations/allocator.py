"""Explanations: nitro-enclaves-allocator and the nitro_enclaves driver.

Truth: bootstrap/nitro-enclaves-allocator of aws-nitro-enclaves-cli, and the kernel's
drivers/virt/nitro_enclaves; read, not run.
"""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations.model import Cause, Claim, Explanation

_SCRIPT = Claim(Evidence.INFERRED, "aws-nitro-enclaves-cli 1.4.4, nitro-enclaves-allocator")
_DRIVER = Claim(Evidence.INFERRED, "Linux, drivers/virt/nitro_enclaves/ne_misc_dev.c")

EXPLANATIONS = (
    Explanation(
        id="host.allocator-config",
        error="Error: Config error: missing memory reservation (`memory_mib`).",
        texts=(
            "Config error: missing memory reservation",
            "Config error: missing CPU reservation",
            "Config error: `cpu_count` conflicts with `cpu_pool`",
            "Error in /etc/nitro_enclaves/allocator.yaml:{} - unexpected:",
            "Error in /etc/nitro_enclaves/allocator.yaml:{} - missing value for",
        ),
        meaning="The allocator cannot use its file. It is no YAML parser: it reads lines "
        "`key: value` after a line that is exactly ---, and knows memory_mib, cpu_count and "
        "cpu_pool.",
        fix="Write ---, memory_mib and one of cpu_count and cpu_pool, each on a line of its own.",
        causes=(
            Cause("The line --- is missing, so that everything is skipped", "head -1 of the file"),
            Cause("Both cpu_count and cpu_pool, or neither"),
            Cause("An empty line, or a key that it does not know", "the line's number"),
        ),
        claim=_SCRIPT,
    ),
    Explanation(
        id="host.allocator-cpus",
        error="Error: Failed to find suitable CPUs for the Nitro Enclaves CPU pool after checking "
        "all NUMA nodes.",
        texts=(
            "Failed to find suitable CPUs for the Nitro Enclaves CPU pool",
            "Provided CPU count is not higher than 0",
            "Provided CPU count is higher than available CPUs",
            "The CPU count is not multiple of",
        ),
        meaning="The instance cannot give that many CPUs: CPU 0 and its sibling stay with the "
        "parent, whole cores only, all of one NUMA node.",
        fix="Lower cpu_count: at most vCPUs minus 2, an even number (4 vCPUs give 2). Else take a "
        "larger instance.",
        claim=_SCRIPT,
    ),
    Explanation(
        id="host.allocator-memory",
        error="Error: Failed to configure entire amount of requested memory. This indicates "
        "insufficient system resources.",
        texts=("Failed to configure entire amount of requested memory",),
        meaning="The instance has not that much unfragmented memory left for huge pages on the "
        "CPUs' NUMA node.",
        fix="Start the allocator soon after boot, lower memory_mib, or take a larger instance.",
        causes=(
            Cause("Memory is used or fragmented: it worked after boot", "free -m"),
            Cause("More than the instance has", "lscpu, free -m"),
        ),
        claim=Claim(Evidence.REPORTED, "aws-nitro-enclaves-cli, issues 192, 247, 313 and 394"),
    ),
    Explanation(
        id="host.allocator-driver",
        error="Error: The CPU pool file is missing. Please make sure the Nitro Enclaves driver is "
        "inserted.",
        texts=("The CPU pool file is missing",),
        meaning="There is no /sys/module/nitro_enclaves/parameters/ne_cpus: the driver is not "
        "loaded.",
        fix="Launch the instance with --enclave-options Enabled=true, then modprobe "
        "nitro_enclaves.",
        claim=_SCRIPT,
    ),
    Explanation(
        id="host.pool-in-use",
        error="Error: Could not re-online CPUs because there is at least one enclave currently "
        "running.",
        texts=(
            "Could not re-online CPUs because there is at least one enclave currently running",
            "The CPU pool is used by enclave(s)",
        ),
        meaning="The allocator was restarted while an enclave runs; the pool stays as it was.",
        fix="nitro-cli terminate-enclave --all, then systemctl restart "
        "nitro-enclaves-allocator.service.",
        causes=(
            Cause(
                "An enclave whose nitro-cli was killed: its process lives on",
                "nitro-cli describe-enclaves",
            ),
        ),
        field_note="9",
        claim=_SCRIPT,
    ),
    Explanation(
        id="host.driver-noise",
        error="nitro_enclaves: No CPUs available in CPU pool; nitro_enclaves: Error in setup CPU "
        "pool [rc=-22]",
        texts=("No CPUs available in CPU pool", "Error in setup CPU pool [rc=-22]"),
        meaning="Both lines together are harmless: the allocator first empties the pool, and the "
        "driver says so at each of its starts.",
        fix="Nothing, if nitro-enclaves-allocator ended with Successfully allocated. It is real "
        "where the first line stands alone, at the time of a run-enclave.",
        causes=(
            Cause("Every start of the allocator", "both lines, at the time of its start"),
            Cause(
                "run-enclave found no free CPU: an enclave holds the pool",
                "the first line alone; run-enclave failed with E29 and E39",
            ),
        ),
        claim=Claim(
            Evidence.INFERRED, "nitro-enclaves-allocator and drivers/virt/nitro_enclaves, read"
        ),
    ),
    Explanation(
        id="host.pool-refused",
        error="nitro_enclaves: CPU 0 has to remain available",
        texts=(
            "CPU 0 has to remain available",
            "CPU sibling {} for CPU 0 is in CPU pool",
            "nitro_enclaves: CPU {} is not in CPU pool",
            "CPUs with different NUMA nodes",
            "Failed to configure the CPU pool",
        ),
        meaning="The driver refuses the pool: CPU 0 and its sibling stay with the parent, a core "
        "is given whole (both threads), and all CPUs are of one NUMA node.",
        fix="Use cpu_count, which chooses well; or name whole cores in cpu_pool (lscpu -e shows "
        "which CPUs share one).",
        claim=_DRIVER,
    ),
)
