"""Which distribution a machine has: os-release(5), and the families that packages come from."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

from simulator.doctor.host import Host

_PATH = "/etc/os-release"
_MEMBER = re.compile(r"""^[ \t]*([A-Z0-9_]+)=(["']?)(.*?)\2[ \t\r]*$""", re.MULTILINE)


class Distribution(enum.Enum):
    """Where packages come from."""

    AMAZON_2023 = "Amazon Linux 2023"
    AMAZON_2 = "Amazon Linux 2"
    DEBIAN = "Debian or a descendant"
    OTHER = "another distribution"


def os_release(host: Host) -> Mapping[str, str]:
    """Its variables; none where there is no file, as on macOS. Raises OSError."""
    if host.look(_PATH) is None:
        return {}
    text = host.read(_PATH).decode(errors="replace")
    return {name: value for name, _, value in _MEMBER.findall(text)}


def families(host: Host) -> set[str]:
    """The distribution's id and those that it is like. Raises OSError."""
    members = os_release(host)
    return {*members.get("ID", "").split(), *members.get("ID_LIKE", "").split()}


def distribution(host: Host) -> Distribution:
    """Raises OSError."""
    members = os_release(host)
    if members.get("ID") == "amzn":
        is_2 = members.get("VERSION_ID") == "2"
        return Distribution.AMAZON_2 if is_2 else Distribution.AMAZON_2023
    is_debian = families(host) & {"debian", "ubuntu"}
    return Distribution.DEBIAN if is_debian else Distribution.OTHER
