"""The hardware target: this parent instance, its nitro-cli, docker and vsock, and real AWS KMS.

It looks before it makes anything, makes things when a scenario first wants them, writes down what
it is about to make, and removes all of it at the end, also after a failure or a signal. Nothing in
it knows a fake; whether its actions are done or only planned, `actions` decides.
"""

from __future__ import annotations

import base64
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Self

from real_hw import nitro_cli
from real_hw.actions import ActionFailed, Actions, Call, Command
from real_hw.aws import Aws, Caller, caller_of
from real_hw.doing import RealActions
from real_hw.enclaves import Enclaves, HardwareEnclave, Running
from real_hw.image import Images, attested_kms, succeeded
from real_hw.interruption import Interruption
from real_hw.keys import PENDING, HardwareKey, Keys
from real_hw.kms import HardwareKms
from real_hw.lacking import Lacking
from real_hw.leaves import Dialler, start_dialler, start_proxy
from real_hw.leftovers import this_process
from real_hw.parent import HardwareParent, ScenarioImages, scenario_parent
from real_hw.planning import PlannedActions
from real_hw.preflight import preflight
from real_hw.progress import Progress, say_on_stderr
from real_hw.settings import Settings, settings_from
from real_hw.settle import Settling
from real_hw.undo import CleanupFailed, Ledger
from scenarios.target import (
    Capability,
    Finished,
    ParentInstance,
    Statement,
    TargetUnavailable,
)

Say = Callable[[str], None]


class HardwareTarget(Lacking):
    """A real parent instance. Use as a context manager, or `close` it.

    `launcher` stands before the words of each program that dials or listens on vsock, `wait` lets
    seconds pass and `clock` tells them, `say` takes lines of progress; with `takes_signals` SIGINT,
    SIGTERM and SIGHUP are its own until it is closed. Raises TargetUnavailable,
    with everything that is missing, before anything is made.
    """

    name = "hardware"
    capabilities = frozenset(
        {
            Capability.ENCLAVE,
            Capability.DEBUG_ENCLAVE,
            Capability.POLICY_CHANGE,
            Capability.PASS_MINUTES,
            Capability.NITRO_CLI,
            Capability.PARENT_INSTANCE,
            Capability.FOREIGN_DOCUMENT,
        }
    )

    def __init__(
        self,
        *,
        launcher: Sequence[str] = (),
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        say: Say | None = None,
        settings: Settings | None = None,
        folder: Path | None = None,
        actions: Actions | None = None,
        takes_signals: bool = True,
    ) -> None:
        settings = settings or settings_from(folder=folder)
        self._settings = replace(settings, launcher=tuple(launcher) or settings.launcher)
        self._say = say or say_on_stderr
        self._progress = Progress(self._say, clock)
        self._interruption = Interruption(self._say)
        self._aws = Aws(self._settings.region)
        self._actions = actions or RealActions(self._aws, self._interruption, wait)
        self._settling = Settling(self._actions, clock)
        self._ledger = Ledger(self._actions, self._settings.ledger, self._interruption, self._say)
        self._images = Images(self._actions, self._settings, self._ledger)
        self._scenario_images = ScenarioImages(self._actions, self._images)
        self._dialler: Dialler | None = None
        self._enclaves: Enclaves | None = None
        self._running: HardwareEnclave | None = None
        self._facts: dict[str, str] = {}
        self._broken: ActionFailed | None = None
        self._is_open = True
        self._keys: Keys | None = None
        if takes_signals:
            self._interruption.install()
        self._open()

    def _open(self) -> None:
        try:
            with self._progress.step("looking whether everything is there"):
                options = ("--hardware", "--patience", "10")
                region = self._settings.region
                report = preflight(self._actions, options, self._say, region=region)
            self._caller = self._ask_caller()
            self._begin(report)
        except ActionFailed as error:
            self._give_up()
            raise TargetUnavailable(str(error)) from error
        except BaseException:
            self._give_up()
            raise

    def _begin(self, report: Mapping[str, object]) -> None:
        self._actions.make_folder(self._settings.folder, "the run's ledger, logs and consoles")
        self._ledger.note(this_process())  # So that hardware clean leaves it alone.
        entry = self._ledger.begin(
            "folder", lambda _: self._actions.remove(self._settings.work, "images go")
        )
        self._actions.make_folder(self._settings.work, "images, removed at the end")
        entry.made(str(self._settings.work))
        self._facts |= _facts_of(report)
        self._facts |= {"region": self._settings.region, "kernel": platform.release()}
        if "nitro_cli" not in self._facts:
            self._facts["nitro_cli"] = nitro_cli.version(self._actions)
        self._keys = Keys(self._actions, self._settings, self._ledger, self._settling, self._caller)
        self.kms = HardwareKms(self._actions, self._settling)

    def _ask_caller(self) -> Caller:
        if not self._settings.region:
            raise ActionFailed(
                "No AWS region is set, so it is not known where keys would be made. Set "
                "AWS_REGION to the one in which this instance runs."
            )
        account = "123456789012"
        stand_in = {"Account": account, "Arn": f"arn:aws:iam::{account}:role/ParentInstance"}
        call = Call(
            "sts",
            "GetCallerIdentity",
            {},
            "whose credentials these are: key policies name the role",
            "AWS STS API Reference",
            stand_in,
        )
        caller = caller_of(self._actions.call(call))
        return replace(caller, arn=self._settings.role_arn or caller.arn)

    @property
    def role_arn(self) -> str:
        """The role of this instance."""
        return self._caller.arn

    @property
    def account_root(self) -> str:
        """`arn:aws:iam::ACCOUNT:root`."""
        return self._caller.account_root

    @property
    def provenance(self) -> Mapping[str, str]:
        """On what the scenarios ran; `root_sha256` once an enclave has booted."""
        return dict(self._facts)

    @property
    def boots(self) -> int:
        """How often the suite's own enclave was booted."""
        return self._enclaves.boots if self._enclaves else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def enclave(self, *, debug: bool = False) -> HardwareEnclave:
        """The live enclave, booted anew where the mode differs."""
        if self._running is None or self._running.running.debug != debug:
            if self._broken is not None:
                raise ActionFailed(f"There is no enclave, as before: {self._broken}")
            self._end_enclave()
            try:
                self._running = self._boot(debug=debug)
            except ActionFailed as error:
                # Each further attempt takes its minutes, and nothing has changed.
                self._broken = error
                raise
        return self._running

    def key(self, statements: Sequence[Statement]) -> HardwareKey:
        """A key with the administrator statement and `statements`."""
        if self._keys is None:
            raise RuntimeError("the target is not open")
        return self._keys.key(statements)

    def parent_instance(self) -> AbstractContextManager[ParentInstance]:
        """This machine, without the suite's enclave."""
        self._end_enclave()
        parent = HardwareParent(
            self._actions, self._settings, self._the_dialler, self._scenario_images
        )
        return scenario_parent(
            self._actions, self._settings, self._ledger, self._interruption, parent
        )

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass."""
        with self._progress.step(f"letting {seconds:.0f} seconds pass", expected=seconds):
            self._actions.wait(seconds, "a scenario lets time pass")

    def foreign_document(self, *, pcrs: Mapping[int, str]) -> bytes:
        """A well-made document with these PCR0, 1 and 2, under the root of somebody else."""
        words = [word for index in range(3) for word in (f"--pcr{index}", pcrs[index])]
        command = Command(
            (*attested_kms(), "hardware", "foreign-document", *words),
            "a document that KMS must not believe",
            "docs/reference/hardware.md",
            Finished(0, "", ""),
        )
        return base64.b64decode(succeeded(self._actions, command).stdout)

    def close(self) -> None:
        """Remove everything, and tell what remains. Raises CleanupFailed."""
        if not self._is_open:
            return
        self._is_open = False
        failed: list[str] = []
        with self._interruption.undoing(), self._progress.step("removing what the run made"):
            for step in (self._ledger.undo_all, self._tell_keys):
                try:
                    step()
                except Exception as error:  # noqa: BLE001  # Whatever it is, the next must go on.
                    failed.append(str(error))
            self._aws.close()
        self._interruption.restore()
        if failed:
            raise CleanupFailed(" ".join(failed))

    def _give_up(self) -> None:
        """Close; what cannot be removed is told, and hides nothing of what came before."""
        try:
            self.close()
        except CleanupFailed as error:
            self._say(str(error))

    def _tell_keys(self) -> None:
        """The final listing: exactly the run's keys, which wait for their deletion."""
        if self._keys is None:
            return
        failed = []
        for arn, state in self._keys.states():
            self._say(f"key {arn}: {state}")
            if state != PENDING:
                failed.append(f"{arn} is {state}, not {PENDING}")
        if failed:
            raise CleanupFailed(f"Keys that cost money are left: {'; '.join(failed)}.")

    def _the_dialler(self) -> Dialler:
        if self._dialler is None:
            self._dialler = start_dialler(self._actions, self._ledger, self._settings)
        return self._dialler

    def _boot(self, *, debug: bool) -> HardwareEnclave:
        proxy = None
        if self._enclaves is None:
            proxy = start_proxy(self._actions, self._ledger, self._settings)
            with self._progress.step("building the enclave image", expected=60):
                image = self._images.enclave()
            self._enclaves = Enclaves(self._actions, self._settings, self._ledger, image)
        with self._progress.step("booting the enclave", expected=10):
            running = self._enclaves.boot(debug=debug)
            dialler = self._the_dialler()
            if proxy is not None:
                proxy.wait_until_ready()
            return self._ready(self._enclaves, dialler, running)

    def _ready(self, enclaves: Enclaves, dialler: Dialler, running: Running) -> HardwareEnclave:
        enclave = HardwareEnclave(dialler, self._settling, running)
        try:
            enclave.wait_until_ready()
        except ActionFailed as error:
            why = enclaves.gone(running)
            enclaves.end(running)
            raise ActionFailed(f"{error} {why}.") from error
        root = enclave.root_sha256()
        if root is not None:
            self._facts["root_sha256"] = root
        return enclave

    def _end_enclave(self) -> None:
        if self._running is not None and self._enclaves is not None:
            running, self._running = self._running, None
            self._enclaves.end(running.running)


def planned(actions: PlannedActions, *, folder: Path | None = None) -> HardwareTarget:
    """The target whose actions are told and not done; `folder` is where runs have their folders."""
    environment = {"AWS_REGION": "us-east-1", **os.environ}
    settings = settings_from(environment, folder=folder)
    run_id = "attested-kms-RUN"
    settings = replace(settings, run_id=run_id, folder=settings.folder.with_name(run_id))
    return HardwareTarget(
        settings=settings, actions=actions, say=lambda _: None, takes_signals=False
    )


def _facts_of(report: Mapping[str, object]) -> dict[str, str]:
    """What the doctor knows of the machine for records."""
    told = report.get("provenance")
    if not isinstance(told, Mapping):
        return {}
    known = ("instance_type", "region", "nitro_cli", "kernel")
    return {name: value for name in known if isinstance(value := told.get(name), str) and value}
