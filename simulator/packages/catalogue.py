"""Amazon Linux 2023's catalogue, as far as the way to an enclave goes.

Names and requirements of the aws-nitro-enclaves packages: SPECS/aws-nitro-enclaves-cli.spec of
v1.4.4. Other names are Amazon Linux 2023's; versions and what their packages require are plausible
and no more (`inferred`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CLI = "aws-nitro-enclaves-cli"
DEVEL = "aws-nitro-enclaves-cli-devel"
DOCKER = "docker"

EXTRA = "catalogue.txt"
"""A file of the machine's folder with more names that its repository has, one a line."""

_RELEASE = "amzn2023"
_MOST_EXTRA = 1 << 20


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the repository."""

    name: str
    version: str
    """With its release."""
    requires: tuple[str, ...] = ()


def _of(packages: Iterable[Package]) -> dict[str, Package]:
    return {package.name: package for package in packages}


_NITRO = (
    Package(CLI, "1.4.4-0", (DOCKER, "jq")),
    Package(DEVEL, "1.4.4-0"),
    Package("aws-nitro-enclaves-cli-integration-tests", "1.4.4-0", ("python3-pip",)),
)
_OTHERS = (
    Package("cargo", "1.88.0-1", ("rust",)),
    Package("cmake", "3.22.2-1", ("make",)),
    Package("docker", "25.0.8-1"),
    Package("gcc", "11.5.0-5"),
    Package("gcc-c++", "11.5.0-5", ("gcc",)),
    Package("git", "2.47.3-1"),
    Package("golang", "1.24.6-1"),
    Package("jq", "1.7.1-49"),
    Package("make", "4.3-5"),
    Package("openssl-devel", "3.2.2-1"),
    Package("perl", "5.32.1-477"),
    Package("pkgconf-pkg-config", "1.8.0-4"),
    Package("python3-pip", "21.3.1-2"),
    Package("python3.11", "3.11.13-1"),
    Package("python3.11-pip", "22.3.1-2", ("python3.11",)),
    Package("python3.12", "3.12.11-1"),
    Package("python3.12-pip", "23.2.1-4", ("python3.12",)),
    Package("python3.13", "3.13.7-1"),
    Package("rust", "1.88.0-1", ("gcc",)),
    Package("socat", "1.7.4.2-1"),
    Package("tar", "1.34-1"),
    Package("unzip", "6.0-57"),
    Package("wget", "1.21.3-1"),
)
_ON_EVERY_INSTANCE = (
    Package("amazon-ssm-agent", "3.3.2299.0-1"),
    Package("awscli-2", "2.27.57-1"),
    Package("bash", "5.2.15-1"),
    Package("coreutils", "8.32-30"),
    Package("curl-minimal", "8.11.1-4"),
    Package("dnf", "4.14.0-1"),
    Package("openssl", "3.2.2-1"),
    Package("openssl-libs", "3.2.2-1"),
    Package("python3", "3.9.23-1"),
    Package("rpm", "4.16.1.3-29"),
    Package("shadow-utils", "4.9-12"),
    Package("sudo", "1.9.15-1"),
    Package("systemd", "252.23-3"),
    Package("util-linux-core", "2.37.4-1"),
)

CATALOGUE: Mapping[str, Package] = _of((*_NITRO, *_OTHERS, *_ON_EVERY_INSTANCE))
"""By their names."""

BASE = frozenset(package.name for package in _ON_EVERY_INSTANCE)
"""What an instance has when it is launched."""


def known(machine: Path) -> dict[str, Package]:
    """The catalogue, and the names that the machine's folder adds to it. Raises OSError."""
    path = machine / EXTRA
    if not path.exists():
        return dict(CATALOGUE)
    with path.open("rb") as file:
        text = file.read(_MOST_EXTRA).decode(errors="replace")
    names = (line.partition("#")[0].strip() for line in text.splitlines())
    return _of(Package(name, "1.0-1") for name in names if name) | dict(CATALOGUE)


def with_requirements(names: Iterable[str], catalogue: Mapping[str, Package]) -> list[str]:
    """The names, each once, and after them all that they require."""
    found = list(dict.fromkeys(names))
    for name in found:  # It grows.
        package = catalogue.get(name)
        found += [other for other in package.requires if other not in found] if package else []
    return found


def requiring(name: str, installed: Iterable[str], catalogue: Mapping[str, Package]) -> list[str]:
    """Those that are installed and need the package, sooner or later."""
    return [
        other
        for other in installed
        if other != name and name in with_requirements([other], catalogue)
    ]


def full_name(package: Package, architecture: str) -> str:
    """`git-2.47.3-1.amzn2023.x86_64`, as rpm writes it."""
    return f"{package.name}-{full_version(package)}.{architecture}"


def full_version(package: Package) -> str:
    """With the release of the distribution."""
    return f"{package.version}.{_RELEASE}"
