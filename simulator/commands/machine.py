"""`attested-kms machine`: the simulated parent instance itself."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulator.commands import CommandFailed, machine_shell, show
from simulator.commands.arguments import cpus, positive
from simulator.commands.ending import tidy_end

HELP = "make, look at and stop the parent instance that nitro-cli talks to"

_USAGE = 2
_ARCHITECTURES = ("x86_64", "arm64")
_HARDWARE = ("vcpus", "threads_per_core", "numa_nodes", "architecture")


def configure(parser: argparse.ArgumentParser) -> None:
    """One subcommand each for what may be done to a machine."""
    parser.description = (
        "The parent instance that attested-kms nitro-cli talks to: its CPUs, huge pages, driver "
        "and enclaves. It is a folder, and a broker process that is started on demand and ends "
        "when nobody has needed it for a while."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="machine_command")
    _configure_create(_add(commands, "create", "make a machine, other than the default"))
    status = _add(commands, "status", "what the machine is, and what it holds")
    status.add_argument("--json", action="store_true", help="for programs")
    start = _add(commands, "start", "start its broker, which nitro-cli does on demand")
    start.add_argument(
        "--foreground", action="store_true", help="stay until interrupted, and log to stderr"
    )
    _add(commands, "stop", "end its enclaves and its broker")
    _add(commands, "allocator", "run nitro-enclaves-allocator, as its service does")
    _add(commands, "dmesg", "what its kernel's driver has said")
    load = _add(commands, "load", "give its Docker engine an image, for build-enclave --docker-uri")
    load.add_argument(
        "image", type=Path, metavar="IMAGE", help="a file of docker save, an OCI layout, a folder"
    )
    load.add_argument("--tag", metavar="NAME", help="its name; needed where it has none")
    machine_shell.configure(_add(commands, "shell", machine_shell.HELP, machine_shell.DESCRIPTION))
    logs = _add(commands, "logs", "nitro_enclaves.log, and the names of error logs")
    logs.add_argument("--broker", action="store_true", help="the broker's own log instead")


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    words: str,
    description: str = "",
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=words, description=description or words)
    parser.add_argument(
        "--machine",
        type=Path,
        metavar="DIR",
        help="the machine's folder (default: that of ATTESTED_KMS_MACHINE, or your own)",
    )
    return parser


def _configure_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force", action="store_true", help="in place of one that is there: it is stopped"
    )
    hardware = parser.add_argument_group("the instance")
    hardware.add_argument("--instance-type", metavar="TYPE", help="default: m6i.xlarge")
    hardware.add_argument("--instance-id", metavar="ID", help="default: a new one")
    hardware.add_argument("--vcpus", type=positive, metavar="N")
    hardware.add_argument("--threads-per-core", type=positive, metavar="N")
    hardware.add_argument("--numa-nodes", type=positive, metavar="N")
    hardware.add_argument("--architecture", choices=_ARCHITECTURES)
    hardware.add_argument(
        "--instance-memory-mib", type=positive, metavar="N", help="of the whole instance"
    )
    hardware.add_argument("--region", metavar="NAME", help="default: us-east-1")
    hardware.add_argument("--role-arn", metavar="ARN", help="its IAM role: PCR3 of its enclaves")
    hardware.add_argument(
        "--no-enclaves",
        action="store_true",
        help="as launched without --enclave-options Enabled=true: there is no driver",
    )
    installed = parser.add_argument_group("what is installed")
    installed.add_argument(
        "--memory-mib", type=positive, default=512, metavar="N", help="of allocator.yaml"
    )
    group = installed.add_mutually_exclusive_group()
    group.add_argument("--cpu-count", type=positive, metavar="N", help="of allocator.yaml")
    group.add_argument("--cpu-pool", type=cpus, metavar="LIST", help="of allocator.yaml: 1,3")
    installed.add_argument(
        "--no-allocator",
        action="store_true",
        help="nitro-enclaves-allocator.service is not started: the pool is empty",
    )
    installed.add_argument(
        "--no-devel", action="store_true", help="without aws-nitro-enclaves-cli-devel"
    )
    installed.add_argument(
        "--bare",
        action="store_true",
        help="as Amazon Linux 2023 is launched: neither package, and no allocator to start",
    )
    installed.add_argument(
        "--rustup-user",
        choices=("ec2-user", "root"),
        help="who has a Rust toolchain of rustup's, in the home folder: one that compiles nothing",
    )
    around = parser.add_argument_group("the simulation")
    around.add_argument(
        "--join",
        metavar="FILE|URL",
        help="its enclaves are those of a running attested-kms serve --management-port, under its "
        "root",
    )
    around.add_argument(
        "--heartbeat-wait",
        type=_seconds,
        metavar="SECONDS",
        help="how long run-enclave waits for an enclave that does not boot; 180 are real (default: "
        "no longer than until it is known that it does not)",
    )
    around.add_argument(
        "--idle-seconds",
        type=_seconds,
        metavar="SECONDS",
        help="how long the broker stays with no enclave and nobody who asks (default: 60)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Do what was asked."""
    from simulator.nitro_cli.connection import BrokerUnreachable
    from simulator.nitro_cli.places import FolderRefused

    command: Callable[[argparse.Namespace], int] = {
        "create": _create,
        "status": _status,
        "start": _start,
        "stop": _stop,
        "allocator": _allocator,
        "dmesg": _dmesg,
        "load": _load,
        "logs": _logs,
        "shell": machine_shell.run,
    }[options.machine_command]
    try:
        return command(options)
    except (BrokerUnreachable, FolderRefused) as error:
        raise CommandFailed(str(error)) from error


def _create(options: argparse.Namespace) -> int:
    from simulator.machine.configuration import BadConfiguration
    from simulator.machine.making import CannotMake, make
    from simulator.machine.parts import CannotSimulate
    from simulator.machine.pki import check, make_root
    from simulator.nitro_cli.places import MachineFolder

    folder = MachineFolder.locate(os.environ, options.machine, make=False)
    try:
        configuration, installation = _wanted(options)
        check(configuration)
    except BadConfiguration as error:
        raise CommandFailed(str(error), exit_code=_USAGE) from error
    if (folder.path / "machine.json").exists():
        if not options.force:
            raise CommandFailed(
                f"There is a machine in {folder.path}; --force makes another in its place, and "
                "--machine one elsewhere."
            )
        _end(folder.path)
    try:
        lines = make(folder.path, configuration, installation)
        root = make_root(folder.path, configuration)
    except (CannotMake, CannotSimulate) as error:
        raise CommandFailed(str(error)) from error
    for line in lines:
        show(f"nitro-enclaves-allocator: {line}")
    instance = configuration.instance
    show(
        f"{configuration.instance_id}, {instance.type}: {instance.vcpus} vCPUs, "
        f"{instance.memory_mib} MiB, in {folder.path}"
    )
    if root is not None:
        show(f"The root of its enclaves' documents: {root}")
    return 0


def _wanted(options: argparse.Namespace) -> tuple[Any, Any]:
    """The Configuration and the Installation. Raises BadConfiguration."""
    from simulator.machine.configuration import Configuration
    from simulator.machine.making import Installation

    hardware = {name: getattr(options, name) for name in _HARDWARE}
    hardware["memory_mib"] = options.instance_memory_mib
    given = {
        name: getattr(options, name)
        for name in (
            *("instance_type", "instance_id", "region", "role_arn"),
            *("join", "heartbeat_wait", "idle_seconds"),
        )
    }
    if options.join is not None and "://" not in options.join:
        # The broker has another folder to look from.
        given["join"] = str(Path(options.join).absolute())
    configuration = Configuration(
        hardware={name: value for name, value in hardware.items() if value is not None},
        **{name: value for name, value in given.items() if value is not None},
    )
    installation = Installation(
        memory_mib=options.memory_mib,
        cpus=options.cpu_pool or options.cpu_count or 2,
        has_driver=not options.no_enclaves,
        has_cli=not options.bare,
        has_devel=not (options.no_devel or options.bare),
        rustup_user=options.rustup_user,
        runs_allocator=not (options.no_allocator or options.no_enclaves or options.bare),
    )
    return configuration, installation


def _status(options: argparse.Namespace) -> int:
    from simulator.machine.status_text import in_words
    from simulator.nitro_cli.places import MachineFolder

    status = _ask(MachineFolder.locate(os.environ, options.machine).path, "status")
    if options.json:
        show(json.dumps(status, indent=2))
        return 0
    for line in in_words(status):
        show(line)
    return 0


def _start(options: argparse.Namespace) -> int:
    from simulator.nitro_cli.connection import hold, is_answering
    from simulator.nitro_cli.places import MachineFolder

    folder = MachineFolder.locate(os.environ, options.machine)
    if not options.foreground:
        hold(folder).close()
        show(f"The machine {folder.path} answers.")
        return 0
    if is_answering(folder):
        raise CommandFailed(
            f"The broker of {folder.path} runs already; stop it first, with attested-kms machine "
            "stop."
        )
    from simulator.machine.broker import run_broker

    logging.basicConfig(format="attested-kms machine: %(message)s", level=logging.INFO)
    return run_broker(folder)


def _stop(options: argparse.Namespace) -> int:
    from simulator.nitro_cli.places import MachineFolder

    folder = MachineFolder.locate(os.environ, options.machine, make=False)
    show(
        f"The machine {folder.path} has stopped."
        if _end(folder.path)
        else f"No broker runs for the machine {folder.path}."
    )
    return 0


def _end(path: Path) -> bool:
    """End the broker and the services, and wait until they have gone; whether there were any."""
    import fcntl

    from simulator.nitro_cli.connection import is_answering
    from simulator.nitro_cli.places import MachineFolder
    from simulator.packages import services

    folder = MachineFolder(path)
    has_ended = services.end(path)
    if not is_answering(folder):
        return has_ended
    _ask(path, "stop")
    with folder.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    return True


def _allocator(options: argparse.Namespace) -> int:
    from simulator.nitro_cli.places import MachineFolder

    outcome = _ask(MachineFolder.locate(os.environ, options.machine).path, "allocate")
    for line in outcome["errors"]:
        print(line, file=sys.stderr)
    for line in outcome["lines"]:
        show(line)
    return int(outcome["exit_code"])


def _dmesg(options: argparse.Namespace) -> int:
    from simulator.machine.kernel_log import PATH
    from simulator.nitro_cli.places import MachineFolder

    _show_file(MachineFolder.locate(os.environ, options.machine).on_instance(PATH))
    return 0


def _load(options: argparse.Namespace) -> int:
    from simulator.images import BadImage
    from simulator.images.store import ImageStore
    from simulator.nitro_cli.places import MachineFolder

    folder = MachineFolder.locate(os.environ, options.machine)
    try:
        with tidy_end():
            names = ImageStore(folder.path / "images").load(options.image, options.tag)
    except BadImage as error:
        raise CommandFailed(str(error), exit_code=_USAGE) from error
    except OSError as error:
        raise CommandFailed(f"The image cannot be stored ({error}).") from error
    for name in names:
        show(f"loaded {name}")
    return 0


def _logs(options: argparse.Namespace) -> int:
    from simulator.machine.process_log import PATH
    from simulator.nitro_cli.places import MachineFolder

    folder = MachineFolder.locate(os.environ, options.machine)
    if options.broker:
        _show_file(folder.path / "broker.log")
        return 0
    log = folder.on_instance(PATH)
    _show_file(log)
    for error_log in sorted(log.parent.glob("err*.log")):
        show(f"error log: {error_log}")
    return 0


def _show_file(path: Path) -> None:
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read ({error.strerror}).") from error
    if text:
        show(text.removesuffix("\n"))


def _ask(path: Path, command: str) -> Any:
    """The broker's answer; what it has to tell is for the user."""
    from simulator.nitro_cli.connection import request
    from simulator.nitro_cli.places import MachineFolder

    answer = None
    for message in request(MachineFolder(path), command):
        match message:
            case {"notice": str(text)} | {"warning": str(text)}:
                print(f"attested-kms machine: {text}", file=sys.stderr)
            case {"answer": given}:
                answer = given
    return answer
