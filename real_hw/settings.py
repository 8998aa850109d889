"""What a run on hardware can be told, and what it calls the things that it makes.

All that a run makes has its id in its name or tags, so that it can be told from what others made.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

from real_hw import needs
from scenarios.target import TargetUnavailable

RUN_TAG = "attested-kms:run"
"""The tag of every KMS key that a run makes; its value is the run's id."""

DELETION_DAYS = 7
"""The shortest time after which KMS deletes a key (AWS KMS API Reference, ScheduleKeyDeletion)."""

CPUS = needs.ENCLAVE_CPUS
MEMORY_MIB = needs.ENCLAVE_MIB
CONTROL_PORT = 5000
PROXY_PORT = 8005
"""Not 8000, where the service nitro-enclaves-vsock-proxy listens, if it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one run."""

    run_id: str
    region: str
    """Empty where none is set: the preflight has more to say then."""
    folder: Path
    """The run's own: its ledger, logs and consoles stay there, its folder `work` does not."""
    launcher: tuple[str, ...] = ()
    """Words before those of every program that dials or listens on vsock; none on hardware."""
    cpus: int = CPUS
    memory_mib: int = MEMORY_MIB
    role_arn: str | None = None
    """The parent instance's role, where it has a path: sts:GetCallerIdentity does not tell it."""

    @property
    def work(self) -> Path:
        """For images and what else is removed at the end."""
        return self.folder / "work"

    @property
    def ledger(self) -> Path:
        """What was made, written before it is."""
        return self.folder / "ledger.jsonl"


def new_run_id() -> str:
    """A name for a run that no other has."""
    return f"attested-kms-{secrets.token_hex(4)}"


def settings_from(
    environment: Mapping[str, str] = os.environ,
    *,
    folder: Path | None = None,
    launcher: tuple[str, ...] = (),
) -> Settings:
    """The settings that the environment gives. Raises TargetUnavailable.

    AWS_REGION and AWS_DEFAULT_REGION as the AWS SDKs read them; ATTESTED_KMS_ENCLAVE_CPUS,
    ATTESTED_KMS_ENCLAVE_MEMORY_MIB and ATTESTED_KMS_ROLE_ARN are ours. `folder` is where runs have
    their folders.
    """
    run_id = new_run_id()
    return Settings(
        run_id=run_id,
        region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "",
        folder=(folder or Path(gettempdir(), "attested-kms-runs")) / run_id,
        launcher=launcher,
        cpus=_number(environment, needs.CPUS_VARIABLE, CPUS),
        memory_mib=_number(environment, needs.MEMORY_VARIABLE, MEMORY_MIB),
        role_arn=environment.get("ATTESTED_KMS_ROLE_ARN") or None,
    )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) == 0:
        raise TargetUnavailable(f"{name} is {text!r:.40}; it must be a number above 0.")
    return int(text)
