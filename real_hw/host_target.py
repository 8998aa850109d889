"""A machine with the package nitro-cli and no enclaves: for what needs no hardware.

A plain Amazon Linux 2023 will do. Nothing of AWS is asked.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from real_hw import nitro_cli
from real_hw.actions import ActionFailed, Actions
from real_hw.aws import Aws
from real_hw.doing import RealActions
from real_hw.image import Images
from real_hw.interruption import Interruption
from real_hw.lacking import Lacking, NoKms
from real_hw.leaves import Dialler
from real_hw.parent import HardwareParent, ScenarioImages, scenario_parent
from real_hw.progress import say_on_stderr
from real_hw.settings import Settings, settings_from
from real_hw.undo import Ledger
from scenarios.target import (
    Capability,
    ParentInstance,
    TargetUnavailable,
)


class HostTarget(Lacking):
    """A machine with nitro-cli. Use as a context manager, or `close` it.

    Raises TargetUnavailable.
    """

    name = "host"
    capabilities = frozenset({Capability.NITRO_CLI})
    role_arn = ""
    account_root = ""
    kms = NoKms()

    def __init__(
        self,
        *,
        folder: Path | None = None,
        say: Callable[[str], None] = say_on_stderr,
        actions: Actions | None = None,
        settings: Settings | None = None,
    ) -> None:
        # No region is asked for, and AWS is not either.
        self._settings = settings or settings_from({"AWS_REGION": "none"}, folder=folder)
        self._interruption = Interruption(say)
        real = RealActions(Aws(self._settings.region), self._interruption, _no_waiting)
        self._actions = actions or real
        self._ledger = Ledger(self._actions, self._settings.ledger, self._interruption, say)
        images = Images(self._actions, self._settings, self._ledger)
        self._scenario_images = ScenarioImages(self._actions, images)
        self._is_open = True
        self._interruption.install()
        try:
            self._open()
        except ActionFailed as error:
            self.close()
            raise TargetUnavailable(
                f"{error} Install what is missing: "
                "dnf install -y aws-nitro-enclaves-cli aws-nitro-enclaves-cli-devel"
            ) from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._version = nitro_cli.version(self._actions)
        self._actions.make_folder(self._settings.folder, "the run's ledger")
        entry = self._ledger.begin(
            "folder", lambda _: self._actions.remove(self._settings.work, "images go")
        )
        self._actions.make_folder(self._settings.work, "images, removed at the end")
        entry.made(str(self._settings.work))

    @property
    def provenance(self) -> Mapping[str, str]:
        """On what the scenarios ran."""
        return {"nitro_cli": self._version, "kernel": platform.release()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def parent_instance(self) -> AbstractContextManager[ParentInstance]:
        """This machine, on which nothing boots."""
        parent = HardwareParent(
            self._actions, self._settings, _no_dialler, self._scenario_images, boots=False
        )
        return scenario_parent(
            self._actions, self._settings, self._ledger, self._interruption, parent
        )

    def close(self) -> None:
        """Remove everything. Raises CleanupFailed."""
        if self._is_open:
            self._is_open = False
            with self._interruption.undoing():
                self._ledger.undo_all()
            self._interruption.restore()


def _no_dialler() -> Dialler:
    raise RuntimeError("nothing boots on this machine, so that nothing can be dialled")


def _no_waiting(_: float) -> None:
    """Nothing here waits for AWS."""
