"""The world itself: what stands around the target, from its first moment to its last."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.utilities.utils import get_partition

from kms_fake import KmsFake
from kms_fake.callers import default_principal
from kms_fake.given_keys import is_region
from kms_fake.http_server import on_a_thread
from kms_fake.roots import root_from_der
from nsm_fake import NsmPki
from simulator.clock import SimulatedClock
from simulator.environment import away_from_aws, without_aws
from simulator.images.store import ImageStore
from simulator.machine.configuration import BadConfiguration, Configuration
from simulator.machine.files import replace_text
from simulator.management import Managed, managing
from simulator.nitro_cli.connection import BrokerUnreachable, is_answering, request
from simulator.nitro_cli.places import VARIABLE, MachineFolder
from simulator.packages import services
from simulator.parent_services.imds import Credentials, Instance
from simulator.rehearsal.answers import Account
from simulator.rehearsal.faults import Faults, Part
from simulator.rehearsal.front import AwsApplication, AwsServer, Failing
from simulator.rehearsal.instance import make_instance
from simulator.rehearsal.journal import COMMAND
from simulator.rehearsal.key_calls import KeyCalls
from simulator.rehearsal.metadata import serving_metadata
from simulator.rehearsal.permissions import RolePolicy

REHEARSAL_VARIABLE = "ATTESTED_KMS_REHEARSAL"
"""Names the file that tells the suite that, and how, it is rehearsed."""
LAUNCHER = ("attested-kms", "run", "--parent", "--")
"""Stands before the words of a program that dials or listens at vsock."""
SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

_OTHER_REGION = "eu-west-1"
_NOBODY = "http://127.0.0.1:9"
"""The port `discard`, where nobody listens."""
_POLICY_NAME = "attested-kms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for."""

    policy: RolePolicy
    faults: Faults
    late: int = 2
    """How many uses of a key see what was before its last change."""
    instance_type: str = "m6i.xlarge"
    region: str = "us-east-1"
    records: Path | None = None
    images: tuple[Path, ...] = ()
    """Archives or folders that the instance's Docker engine holds from the start."""


class Rehearsed:
    """The command, as soon as it is there."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, process: subprocess.Popen[bytes], machine: MachineFolder) -> None:
        """This is its process."""
        self._process = process
        # In one step: somebody may wait for it.
        replace_text(machine.path / COMMAND, str(process.pid))

    def tell(self, number: int) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)


@dataclass(frozen=True, slots=True)
class World:
    """One that stands."""

    folder: Path
    """All of it is below."""
    machine: MachineFolder
    log: Path
    variables: Mapping[str, str]
    """Those of the command that runs in it."""
    own_images: frozenset[str]
    """Names of images that were there before it."""
    command: Rehearsed

    @property
    def temporary(self) -> Path:
        """The command's TMPDIR."""
        return self.folder / "tmp"


@contextmanager
def world(options: Options) -> Iterator[World]:
    """Everything around a command, gone at the end.

    Raises BadConfiguration, BadImage, CannotMake and OSError.
    """
    with ExitStack() as stack:
        stack.enter_context(away_from_aws())
        folder = _folder(stack)
        (folder / "tmp").mkdir()
        log = folder / "log.jsonl"
        log.touch()
        # Their threads are to take no signal, for which the main one waits by name.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            aws = _Services(options, log, stack)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        machine = make_instance(folder, aws.configuration, options.faults, log)
        stack.callback(_end_machine, machine)
        for image in options.images:
            ImageStore(machine.path / "images").load(image, None)
        own = frozenset(ImageStore(machine.path / "images").names())
        variables = aws.variables(options, folder, machine)
        yield World(folder, machine, log, variables, own, aws.command)


class _Services:
    """AWS, the metadata service and the management listener."""

    def __init__(self, options: Options, log: Path, stack: ExitStack) -> None:
        if not is_region(options.region):
            raise BadConfiguration(
                f"There is no Region {options.region}; give one such as us-east-1."
            )
        clock, pki = SimulatedClock(), NsmPki()
        fake = KmsFake([root_from_der(pki.root_certificate_der)], clock=clock)
        principal = default_principal(DEFAULT_ACCOUNT_ID, options.region)
        managed = Managed(fake, clock, pki, region=options.region, enclave_clock=clock)
        self.management = stack.enter_context(managing(managed)).endpoint
        self.configuration = Configuration(
            instance_type=options.instance_type,
            region=options.region,
            role_arn=principal.principal_arn,
            join=self.management,
        )
        hardware = self.configuration.instance
        instance = Instance(
            role_arn=principal.principal_arn,
            instance_id=self.configuration.instance_id,
            region=options.region,
            instance_type=options.instance_type,
            architecture=hardware.architecture,
        )
        self.metadata, imds = stack.enter_context(
            serving_metadata(
                instance,
                Credentials.create(),
                clock,
                has_role=Part.CREDENTIALS not in options.faults.parts,
            )
        )
        fake.callers = imds.callers(options.policy.identity)
        _make_role(instance, options.policy)
        account = Account(
            instance,
            hardware,
            options.policy,
            enclave_options=Part.DEVICE not in options.faults.parts,
        )
        keys = KeyCalls(fake, options.policy, late=options.late)
        self.command = Rehearsed()
        failing = Failing(options.faults, self.command.tell)
        application = AwsApplication(fake, account, keys, failing, log)
        server = AwsServer(application)
        stack.enter_context(on_a_thread(server, "aws"))
        self.endpoint = server.endpoint
        managed.server = {
            "kms_endpoint": server.endpoint,
            "region": options.region,
            "account": fake.account,
        }

    def variables(self, options: Options, folder: Path, machine: MachineFolder) -> dict[str, str]:
        """What the command finds in its environment, instead of this user's own AWS."""
        records = (options.records or folder / "records").absolute()
        records.mkdir(parents=True, exist_ok=True)
        told = folder / "rehearsal.json"
        told.write_text(
            json.dumps(
                {
                    "launcher": list(LAUNCHER),
                    "management_endpoint": self.management,
                    "records": str(records),
                }
            )
        )
        mismatched = Part.REGION in options.faults.parts
        region = _OTHER_REGION if mismatched else options.region
        has_metadata = Part.METADATA not in options.faults.parts
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata if has_metadata else _NOBODY,
            VARIABLE: str(machine.path),
            REHEARSAL_VARIABLE: str(told),
            "TMPDIR": str(folder / "tmp"),
        }


def _folder(stack: ExitStack) -> Path:
    """Directly below /tmp: the sockets of the machine want a short path."""
    root = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108  # mkdtemp makes it private.
    return Path(
        stack.enter_context(
            tempfile.TemporaryDirectory(
                prefix="attested-kms-", dir=root, ignore_cleanup_errors=True
            )
        )
    )


def _make_role(instance: Instance, policy: RolePolicy) -> None:
    """The instance's role in moto's IAM, for who looks it up there."""
    backend = iam_backends[instance.account][get_partition(instance.region)]
    trusted = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    backend.create_role(instance.role_name, json.dumps(trusted), "/", None, "", [], "3600")
    backend.put_role_policy(instance.role_name, _POLICY_NAME, policy.text)
    backend.create_instance_profile(instance.role_name, "/", [instance.role_name])


def _end_machine(machine: MachineFolder) -> None:
    services.end(machine.path)
    with suppress(BrokerUnreachable):
        if is_answering(machine):
            for _ in request(machine, "stop"):
                pass


def command_variables(world: World, environ: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the command: the user's, without the user's AWS."""
    kept = without_aws(environ)
    del kept["AWS_EC2_METADATA_DISABLED"]
    return {**kept, **world.variables}
