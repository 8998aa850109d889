"""Whether nitro-cli build-enclave has a folder to work in: bug 3 of the field notes.

Truth: build_from_docker and artifacts_path in src/lib.rs of aws-nitro-enclaves-cli 1.4.4, read and
not run: NITRO_CLI_ARTIFACTS, else HOME with `/.nitro_cli/` behind it; the folder is made with all
above it if need be. That blobs are asked for first, so that a missing -devel package hides this,
is `packages.devel`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from kms_fake.evidence import Evidence
from simulator.doctor.host import Host, PathKind
from simulator.doctor.model import Check, Finding, Outcome, Role

_VARIABLE = "NITRO_CLI_ARTIFACTS"
_BELOW_HOME = ".nitro_cli"
_COMMAND = "export HOME=/root"


def _folder(host: Host) -> Iterator[Finding]:
    given, home = host.environ.get(_VARIABLE), host.environ.get("HOME")
    if given is None and home is None:
        yield Finding(
            outcome=Outcome.ERROR,
            found=f"Neither {_VARIABLE} nor HOME is set",
            fix=f"Set HOME, or {_VARIABLE} to a folder, in the script that calls nitro-cli: a "
            "shell that sets it by hand helps no service. Delete the empty .eif that a failed "
            "build has left",
            command=_COMMAND,
        )
    elif given is not None:
        yield _of(host, _VARIABLE, given, PurePosixPath(given))
    elif home is not None:
        yield _of(host, "HOME", home, PurePosixPath(home or "/", _BELOW_HOME))


def _of(host: Host, variable: str, value: str, folder: PurePosixPath) -> Finding:
    """What comes of the folder that a variable leads to."""
    if not value and variable == _VARIABLE:
        return _broken(f"{_VARIABLE} is set, but empty: it names no folder (E48)")
    if not folder.is_absolute():
        return Finding(
            outcome=Outcome.WARNING,
            found=f"{variable} is {value}, another folder wherever nitro-cli is called",
            fix=f"Give {variable} an absolute path",
        )
    there = nearest(host, folder)
    if host.look(str(there)) is not PathKind.FOLDER:
        return _broken(f"{variable} is {value}, and {there} is no folder (E19)")
    if not host.may_write(str(there)):
        return _broken(f"{variable} is {value}, and this user may not write in {there} (E19)")
    how = "is there" if there == folder else "can be made"
    return Finding(outcome=Outcome.OK, found=f"{folder} {how} ({variable})")


def folder_of(host: Host) -> PurePosixPath:
    """Where nitro-cli build-enclave works; /tmp where it is not known."""
    given, home = host.environ.get(_VARIABLE), host.environ.get("HOME")
    folder = PurePosixPath(given) if given else PurePosixPath(home or "/tmp", _BELOW_HOME)  # noqa: S108  # Nothing is written.
    return folder if folder.is_absolute() else PurePosixPath("/tmp")  # noqa: S108  # The same.


def nearest(host: Host, folder: PurePosixPath) -> PurePosixPath:
    """The folder, or the first above it that is there."""
    above = (folder, *folder.parents)
    return next((each for each in above if host.look(str(each)) is not None), above[-1])


def _broken(found: str) -> Finding:
    return Finding(
        outcome=Outcome.ERROR,
        found=found,
        fix=f"Let {_VARIABLE} name a folder that this user may write, with room for ramdisks and "
        "image",
        command=f"export {_VARIABLE}=/tmp/nitro-cli-artifacts",
    )


CHECKS = (
    Check(
        id="artifacts.folder",
        title="nitro-cli build-enclave has a folder to work in",
        why=f"nitro-cli build-enclave works in {_VARIABLE}, else in .nitro_cli of HOME. With "
        "neither it ends with E51, `Artifacts path environment variable not set`, and leaves an "
        "empty .eif. SSM, cron, cloud-init and systemd set no HOME. A missing "
        "aws-nitro-enclaves-cli-devel hides it: that is E19, and comes first. A folder that "
        "cannot be made is E19, operation Create",
        roles=frozenset({Role.PARENT}),
        probe=_folder,
        evidence=Evidence.INFERRED,
        source="aws-nitro-enclaves-cli 1.4.4, src/lib.rs",
        bug="3",
        explains=("host.artifacts-path",),
    ),
)
