"""How much of a parent instance one run of the suite takes, in numbers.

Whether a machine has it is for `attested-kms doctor --hardware` to say; nothing is looked at here.
The numbers are this project's own choices, and not limits of AWS.
"""

from __future__ import annotations

from collections.abc import Mapping

CPUS_VARIABLE = "ATTESTED_KMS_ENCLAVE_CPUS"
MEMORY_VARIABLE = "ATTESTED_KMS_ENCLAVE_MEMORY_MIB"
"""With them somebody gives the suite's enclave another size."""

ENCLAVE_CPUS = 2
"""Of the suite's enclave: one core of a parent with two threads a core."""

ENCLAVE_MIB = 1024
"""Memory of the suite's enclave. run-enclave wants four times the size of the image (E26)."""

DISK_MIB = 2048
"""Free space for the Docker image, what nitro-cli makes of it, and the enclave image file."""


def given(environment: Mapping[str, str], variable: str, usual: int) -> int:
    """The number of a variable; the usual one where it has none."""
    text = environment.get(variable, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else usual
