"""What stands on an Amazon Linux 2023 instance when it has been launched, whatever is installed.

Whose machine it is (DMI), which system, which CPUs, who has an account. `/etc/os-release` is
AWS's, shortened (`documented`: AL2023 user guide, "Using the os-release standard"); of DMI,
`sys_vendor` and `board_asset_tag` are `reported` (nitro-cli reads the instance's id there); all
else is `inferred`. A machine that an older version made gets them when a package command or its
broker next looks at it.
"""

from __future__ import annotations

from pathlib import Path

from simulator.instance import accounts, cpu_files
from simulator.instance.sudoers import SUDOERS, SUDOERS_TEXT
from simulator.machine.configuration import Configuration
from simulator.packages import contents, installed
from simulator.packages.catalogue import CLI, DEVEL

OS_RELEASE = "/etc/os-release"
DMI = "/sys/devices/virtual/dmi/id"
ASSET_TAG = f"{DMI}/board_asset_tag"

_POOL = "/sys/module/nitro_enclaves/parameters/ne_cpus"
_OS_RELEASE_TEXT = """\
NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PLATFORM_ID="platform:al2023"
PRETTY_NAME="Amazon Linux 2023"
CPE_NAME="cpe:2.3:o:amazon:amazon_linux:2023"
"""
_HOSTS_TEXT = """\
127.0.0.1 localhost localhost.localdomain localhost4 localhost4.localdomain4
::1 localhost6 localhost6.localdomain6
"""
_PROFILE = "[ ! -f ~/.bashrc ] || . ~/.bashrc\n"
_HOMES = ("/root", "/home/ec2-user")


def lay_out(root: Path, configuration: Configuration) -> None:
    """The files; one that is there stays as it is. Raises OSError."""
    files = {
        OS_RELEASE: _OS_RELEASE_TEXT,
        f"{DMI}/sys_vendor": "Amazon EC2\n",
        f"{DMI}/product_name": f"{configuration.instance_type}\n",
        ASSET_TAG: f"{configuration.instance_id}\n",
        "/etc/hosts": _HOSTS_TEXT,
        accounts.USERS: accounts.FIRST_USERS,
        accounts.GROUPS: accounts.FIRST_GROUPS,
        SUDOERS: SUDOERS_TEXT,
        **{f"{home}/.bash_profile": _PROFILE for home in _HOMES},
        **{f"{home}/.bashrc": "" for home in _HOMES},
    }
    for name, text in files.items():
        path = contents.at(root, name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    pool = contents.at(root, _POOL)
    cpu_files.lay_out(
        root, configuration.instance, pool.read_text(errors="replace") if pool.is_file() else ""
    )


def complete(folder: Path, configuration: Configuration) -> None:
    """Give a machine of an older version what it lacks. Raises OSError, installed.Damaged.

    Who removes a file of one that is complete means it.
    """
    root = folder / "root"
    if contents.at(root, OS_RELEASE).exists():
        return
    for name in installed.read(folder):
        if name not in (CLI, DEVEL):
            contents.put(root, name, configuration.instance.architecture)
        for group in contents.content_of(name, configuration.instance.architecture).groups:
            accounts.add_group(root, group)
    lay_out(root, configuration)
