"""A script that makes an Amazon Linux 2023 instance ready for enclaves: EC2 user data, and later.

The text is `set-up.sh`; what differs from instance to instance is a handful of variables at its
head. Source of the steps: "Install the Nitro Enclaves CLI on Linux" (AWS Nitro Enclaves User Guide)
and the field notes' checklist. It runs here on a simulated instance (`attested-kms machine shell`);
on hardware nobody has run it yet: *inferred*.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

LONGEST_USER_DATA = 16 * 1024
"""Bytes, before base64 ("Run commands when you launch an EC2 instance with user data input")."""

_TEXT = Path(__file__).with_name("set-up.sh")
_SETTINGS = "# (settings)\n"

_ENCLAVES = ("aws-nitro-enclaves-cli", "aws-nitro-enclaves-cli-devel", "docker", "jq")
_BUILD_TOOLS = ("gcc", "gcc-c++", "make", "git")
_PYTHON = ("python3.11", "python3.11-pip")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """What the instance is to be."""

    memory_mib: int = 512
    cpus: str = "cpu_count: 2"
    """A line of allocator.yaml: cpu_count or cpu_pool."""
    user: str = "ec2-user"
    """Who may use nitro-cli and docker without sudo."""
    has_build_tools: bool = True
    has_python: bool = True

    def script(self) -> str:
        """The script, for bash, of ASCII."""
        packages = [*_ENCLAVES]
        packages += _BUILD_TOOLS if self.has_build_tools else ()
        packages += _PYTHON if self.has_python else ()
        settings = {
            "PACKAGES": " ".join(packages),
            "MEMORY_MIB": str(self.memory_mib),
            "CPUS": self.cpus,
            "ENCLAVE_USER": self.user,
        }
        lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
        return _TEXT.read_text(encoding="ascii").replace(_SETTINGS, lines, 1)
