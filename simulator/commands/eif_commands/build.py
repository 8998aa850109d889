"""`attested-kms eif build`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.commands import CommandFailed, show
from simulator.commands.eif_commands import add_nitro_cli_version, read_file

if TYPE_CHECKING:
    from nsm_fake.eif import Signer
    from simulator.images import ContainerImage, Limits
    from simulator.images.build import BuildResult

HELP = "make an image of a container image, without a container engine"
DESCRIPTION = (
    "Make an enclave image file as nitro-cli build-enclave does, and print its PCRs as JSON. IMAGE "
    "is what docker save writes, an OCI layout (a folder or an archive of one), a folder with the "
    "image's files in rootfs/ and its configuration in config.json (the form of an OCI image: "
    '{"config": {"Cmd": ["/app"], "Env": ["A=1"]}}), or a folder with a Dockerfile that needs no '
    "RUN. Without --blobs, texts stand in the place of kernel and init: the image boots in the "
    "simulator, and its PCRs are those of no enclave on hardware. Exit code: 2 for an image that "
    "cannot be used."
)

_GIB = 1024**3


def configure(parser: argparse.ArgumentParser) -> None:
    """The image, what it is to run, and what goes around it."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="an archive or a folder")
    parser.add_argument(
        "-o", "--output-file", type=Path, required=True, metavar="FILE", help="the .eif to write"
    )
    parser.add_argument(
        "--blobs",
        type=Path,
        metavar="DIR",
        help="nitro-cli's kernel, cmdline, init and nsm.ko, as in /usr/share/nitro_enclaves/blobs",
    )
    parser.add_argument(
        "--image-name", metavar="NAME", help="which image of an archive that has several"
    )
    parser.add_argument(
        "--architecture",
        choices=("x86_64", "arm64"),
        help="which of an image for several platforms (default: this machine's)",
    )
    parser.add_argument(
        "--cmd",
        metavar="COMMAND",
        help='what to run in the place of the image\'s command: ["/app", "--x"], or words as in a '
        "shell, which is not run",
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable beside the image's; may stand several times",
    )
    parser.add_argument("--name", dest="eif_name", metavar="NAME", help="ImageName in the metadata")
    parser.add_argument(
        "--version", dest="eif_version", metavar="TEXT", help="ImageVersion in the metadata"
    )
    parser.add_argument(
        "--metadata", type=Path, metavar="FILE", help="JSON for CustomMetadata in the metadata"
    )
    parser.add_argument(
        "--signing-certificate", type=Path, metavar="PEM", help="sign the image: the certificate"
    )
    parser.add_argument("--private-key", type=Path, metavar="PEM", help="its private key")
    parser.add_argument(
        "--image-limit",
        type=float,
        metavar="GIB",
        help="what an image may have unpacked at most (default: 4)",
    )
    add_nitro_cli_version(parser)


def run(options: argparse.Namespace) -> int:
    """Build one image."""
    from nsm_fake.eif import EifError
    from simulator.eif_report import built
    from simulator.images import BadImage

    try:
        result = _built(options)
    except (BadImage, EifError) as error:
        raise CommandFailed(str(error), exit_code=2) from error
    except OSError as error:
        raise CommandFailed(
            f"{options.output_file} cannot be written ({error.strerror or error}); nothing of it "
            "was left."
        ) from error
    show(built(result.measurements, nitro_cli=options.nitro_cli_version))
    _tell(_provenance(options, result))
    return 0


def _built(options: argparse.Namespace) -> BuildResult:
    from nsm_fake.eif import read_custom_metadata
    from simulator.images.build import build_eif

    signer = _signer(options)
    metadata = None if options.metadata is None else read_custom_metadata(options.metadata)
    _tell(f"reading {options.image}")
    image = _with_command(_opened(options), options)
    return build_eif(
        image,
        options.output_file,
        blobs=options.blobs,
        name=options.eif_name,
        version=options.eif_version,
        metadata=metadata,
        signer=signer,
        progress=_tell,
    )


def _opened(options: argparse.Namespace) -> ContainerImage:
    from simulator.images import open_image
    from simulator.images.builder import build_dockerfile
    from simulator.images.store import ImageStore
    from simulator.nitro_cli.places import FolderRefused, MachineFolder

    limits = _limits(options.image_limit)
    folder = options.image
    if (folder / "Dockerfile").is_file() and not (folder / "rootfs").is_dir():
        try:
            machine = MachineFolder.locate(os.environ)
        except FolderRefused as error:
            raise CommandFailed(str(error)) from error
        return build_dockerfile(folder, ImageStore(machine.path / "images"), limits=limits)
    architecture = {"x86_64": "amd64"}.get(options.architecture, options.architecture)
    return open_image(folder, name=options.image_name, architecture=architecture, limits=limits)


def _limits(gibibytes: float | None) -> Limits:
    from simulator.images import Limits

    if gibibytes is None:
        return Limits()
    if not 0 < gibibytes < 1 << 20:
        raise CommandFailed(f"--image-limit {gibibytes}: give GiB, such as 8", exit_code=2)
    return Limits(size=int(gibibytes * _GIB))


def _with_command(image: ContainerImage, options: argparse.Namespace) -> ContainerImage:
    """The image with what the options say of its command and environment."""
    config = image.config
    if options.cmd is not None:
        config = replace(config, cmd=_command(options.cmd))
    env = {line.partition("=")[0]: line for line in config.env}
    for line in options.env:
        name, has_value, _ = line.partition("=")
        if not name or not has_value:
            raise CommandFailed(f"--env {line}: give NAME=VALUE", exit_code=2)
        env[name] = line
    return replace(image, config=replace(config, env=tuple(env.values())))


def _command(text: str) -> tuple[str, ...]:
    try:
        words = json.loads(text) if text.startswith("[") else shlex.split(text)
    except ValueError as error:
        raise CommandFailed(f"--cmd {text}: {error}", exit_code=2) from error
    if not words or not all(isinstance(word, str) for word in words):
        raise CommandFailed(
            f'--cmd {text}: give ["/app", "--x"], or words as in a shell', exit_code=2
        )
    return tuple(words)


def _signer(options: argparse.Namespace) -> Signer | None:
    from nsm_fake.eif import Signer

    given = options.signing_certificate, options.private_key
    if given == (None, None):
        return None
    if None in given:
        raise CommandFailed(
            "an image is signed with --signing-certificate and --private-key; give both",
            exit_code=2,
        )
    return Signer.load(read_file(options.signing_certificate), read_file(options.private_key))


def _provenance(options: argparse.Namespace, result: BuildResult) -> str:
    if result.is_hardware:
        return (
            f"{options.output_file} has the kernel and init of {options.blobs}, so these are its "
            "PCRs on hardware too; that nitro-cli builds the same bytes of this image is not proven"
        )
    return (
        f"{options.output_file} has placeholders for kernel and init, for want of nitro-cli's "
        "(--blobs): it boots in the simulator, and PCR0, PCR1 and PCR2 are those of no enclave on "
        "hardware"
    )


def _tell(line: str) -> None:
    print(f"attested-kms eif build: {line}", file=sys.stderr, flush=True)
