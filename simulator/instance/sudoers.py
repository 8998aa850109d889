"""`/etc/sudoers` of the instance: its PATH for `sudo`, which is not the caller's.

The lines are those of Fedora's and Amazon Linux's file that the simulated sudo goes by
(`reported`: `secure_path` in many scripts that change it). Who changes secure_path there changes it
here too; all other lines are for readers.
"""

from __future__ import annotations

import re
from pathlib import Path

SUDOERS = "/etc/sudoers"
SECURE_PATH = "/sbin:/bin:/usr/sbin:/usr/bin"
SUDOERS_TEXT = f"""\
Defaults    always_set_home
Defaults    env_reset
Defaults    secure_path = {SECURE_PATH}
root    ALL=(ALL)       ALL
%wheel  ALL=(ALL)       ALL
ec2-user ALL=(ALL) NOPASSWD:ALL
"""
_SECURE_PATH = re.compile(r'(?m)^\s*Defaults\s+secure_path\s*=\s*"?([^"\n]+?)"?\s*$')


def secure_path(root: Path) -> str:
    """What sudo makes PATH of. Raises OSError."""
    try:
        text = (root / SUDOERS.lstrip("/")).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return SECURE_PATH
    found = _SECURE_PATH.findall(text)
    return str(found[-1]) if found else SECURE_PATH
