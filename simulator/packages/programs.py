"""The programs that packages bring: `/usr/bin/NAME`, as people look for them.

By the packages' own lists of files on Fedora and Amazon Linux 2023, shortened to what somebody on
the way to an enclave asks for (`inferred`).
"""

from __future__ import annotations

from collections.abc import Mapping

from simulator.packages.catalogue import CLI, DOCKER

_PROGRAMS: Mapping[str, tuple[str, ...]] = {
    CLI: ("nitro-cli", "vsock-proxy", "nitro-enclaves-allocator"),
    DOCKER: ("docker", "dockerd"),
    "amazon-ssm-agent": ("amazon-ssm-agent",),
    "awscli-2": ("aws",),
    "bash": ("bash", "sh"),
    "cargo": ("cargo",),
    "cmake": ("cmake",),
    "curl-minimal": ("curl",),
    "dnf": ("dnf", "yum"),
    "gcc": ("gcc", "cc"),
    "gcc-c++": ("g++", "c++"),
    "git": ("git",),
    "golang": ("go", "gofmt"),
    "jq": ("jq",),
    "make": ("make",),
    "openssl": ("openssl",),
    "perl": ("perl",),
    "pkgconf-pkg-config": ("pkg-config",),
    "python3": ("python3", "python3.9"),
    "python3-pip": ("pip3",),
    "python3.11": ("python3.11",),
    "python3.11-pip": ("pip3.11",),
    "python3.12": ("python3.12",),
    "python3.12-pip": ("pip3.12",),
    "python3.13": ("python3.13",),
    "rpm": ("rpm",),
    "rust": ("rustc", "rustdoc"),
    "socat": ("socat",),
    "sudo": ("sudo",),
    "systemd": ("systemctl", "journalctl"),
    "tar": ("tar",),
    "unzip": ("unzip",),
    "util-linux-core": ("dmesg",),
    "wget": ("wget",),
}
_SUPERUSERS: Mapping[str, tuple[str, ...]] = {"shadow-utils": ("usermod", "groupadd", "useradd")}


def programs(package: str) -> tuple[str, ...]:
    """The paths of its programs."""
    return (
        *(f"/usr/bin/{name}" for name in _PROGRAMS.get(package, ())),
        *(f"/usr/sbin/{name}" for name in _SUPERUSERS.get(package, ())),
    )
