"""What nitro-cli says without an enclave: refusals that need its package and no hardware.

Any Amazon Linux 2023 with the packages aws-nitro-enclaves-cli and -devel can show them. Each is
told by its exit code and by the first error that it prints, exactly; where docker matters the
scenario says so.
"""

from __future__ import annotations

import re

import pytest

from scenarios.target import Capability, Finished, ParentInstance

pytestmark = pytest.mark.needs(Capability.NITRO_CLI)

SOURCE = "aws-nitro-enclaves-cli 1.4.4, its sources"
ERRORS = "https://docs.aws.amazon.com/enclaves/latest/user/cli-errors.html"
LOG = "/var/log/nitro_enclaves/err<TIME>.log"
FILE_OPERATION = (
    "File operation failure. Such error appears when the system fails to perform the requested "
    "file operations, such as opening the EIF file when launching an enclave, or seeking to a "
    "specific offset in the EIF file, or writing to the log file."
)


def printed(code: str, text: str) -> str:
    """An error of nitro-cli as it stands on standard error, its log's time aside."""
    return (
        f"[ {code} ] {text}\n\n"
        f"For more details, please visit {ERRORS}#{code}\n\n"
        f'If you open a support ticket, please provide the error log found at "{LOG}"\n'
    )


def first_error(finished: Finished) -> str:
    """The first error that the command printed, from its code to where its log is."""
    found = re.search(
        r'^\[ E\d\d \] .*?^If you open a support ticket[^\n]*"\n',
        finished.stderr,
        re.MULTILINE | re.DOTALL,
    )
    assert found is not None, finished
    # The time is that of RFC 3339 with nanoseconds: 2026-01-27T19:10:11.123456789+00:00.
    return re.sub(r"/err\d{4}-\d\d-\d\dT[\d:.]+\+00:00\.log", "/err<TIME>.log", found[0])


def build(parent: ParentInstance, uri: str, **environment: str | None) -> Finished:
    """Build an image of the container image `uri`."""
    return parent.nitro_cli(
        *("build-enclave", "--docker-uri", uri, "--output-file", f"{parent.folder}/app.eif"),
        environment=environment,
    )


def run(parent: ParentInstance, *more: str) -> Finished:
    """Run an image that does not exist."""
    return parent.nitro_cli(
        "run-enclave",
        *("--eif-path", f"{parent.folder}/nope.eif", "--cpu-count", "2", "--memory", "512"),
        *more,
    )


@pytest.mark.inferred(SOURCE)
def test_version(parent: ParentInstance) -> None:
    """nitro-cli --version is one line: the name and the version. A record keeps which one it was.

    The texts of this module are those of 1.4.4; where a version has others, its scenario fails and
    shows them.
    """
    told = parent.nitro_cli("--version")
    assert told.exit_code == 0, told
    assert re.fullmatch(r"Nitro CLI \d+\.\d+\.\d+\n", told.stdout), told


@pytest.mark.inferred(SOURCE)
def test_e51_build_without_home(parent: ParentInstance) -> None:
    """build-enclave with neither HOME nor NITRO_CLI_ARTIFACTS is E51, as bug 3 met it.

    It comes before anything is asked of docker, so that docker and the image need not be there.
    """
    failed = build(parent, "absent:latest", HOME=None, NITRO_CLI_ARTIFACTS=None)
    assert failed.exit_code == 51, failed
    assert first_error(failed) == printed(
        "E51",
        "Artifacts path environment variable not set. Such error appears when trying to build an "
        "EIF file, but the artifacts path environment variable is not set.",
    )
    assert failed.stdout == ""


@pytest.mark.inferred(SOURCE)
def test_e19_build_without_blobs(parent: ParentInstance) -> None:
    """build-enclave without the files of the package -devel is E19, and names the first of them.

    It comes before anything is asked of docker.
    """
    blobs = f"{parent.folder}/no-blobs"
    failed = build(parent, "absent:latest", NITRO_CLI_BLOBS=blobs)
    assert failed.exit_code == 19, failed
    file = f"File: '{blobs}/cmdline', failing operation: 'Open'."
    assert first_error(failed) == printed("E19", f"{FILE_OPERATION}\n{file}")
    assert failed.stdout == ""


@pytest.mark.inferred(SOURCE)
def test_e19_run_without_image(parent: ParentInstance) -> None:
    """run-enclave of a file that is not there prints E19 first, then E39, and ends with 39.

    The file is opened before the driver is, so that an instance without enclaves says the same.
    """
    failed = run(parent)
    assert failed.exit_code == 39, failed
    file = f"File: '{parent.folder}/nope.eif', failing operation: 'Open'."
    assert first_error(failed) == printed("E19", f"{FILE_OPERATION}\n{file}")
    assert "\nFailed connections: 1\n[ E39 ] " in failed.stderr


@pytest.mark.inferred(SOURCE)
def test_e48_image_without_command(parent: ParentInstance) -> None:
    """build-enclave of an image with neither CMD nor ENTRYPOINT is E48. It needs docker."""
    failed = build(parent, parent.image())
    assert failed.exit_code == 48, failed
    assert "\nDocker error: UnsupportedEntryPoint\n" in failed.stderr
    assert first_error(failed) == printed(
        "E48",
        "EIF building error. Such error appears when trying to build an EIF file. In this case, "
        "the error backtrace provides detailed information on the failure reason.",
    )


@pytest.mark.inferred(SOURCE)
def test_e50_image_that_cannot_be_pulled(parent: ParentInstance) -> None:
    """build-enclave of an image that is neither local nor in a registry is E50.

    docker runs, or nitro-cli could not ask. The image's registry is this instance, at a port where
    nothing listens, so that nobody else is asked.
    """
    failed = build(parent, "localhost:9/absent:latest")
    assert failed.exit_code == 50, failed
    assert "Docker error: PullError\n" in failed.stderr
    assert first_error(failed) == printed(
        "E50",
        "Docker image pull error. Such error appears when trying to build an EIF file, but pulling "
        "the corresponding docker image fails. In this case, the error backtrace provides detailed "
        "informatino on the failure reason.",
    )


@pytest.mark.inferred(SOURCE)
def test_e11_terminate_an_unknown_enclave(parent: ParentInstance) -> None:
    """terminate-enclave with the id of no enclave is E11: there is no socket of that name."""
    failed = parent.nitro_cli("terminate-enclave", "--enclave-id", "i-0123456789abcdef0-encdead")
    assert failed.exit_code == 11, failed
    assert first_error(failed) == printed(
        "E11",
        "Socket error. This is used as an error for catching any other socket operation errors not "
        "covered by previous custom errors.",
    )
    assert failed.stdout == ""


@pytest.mark.inferred(SOURCE)
def test_e03_the_parents_cid(parent: ParentInstance) -> None:
    """run-enclave with the parent's own CID, 3, is E03, whose text lacks its two values.

    The command line is read first: neither image nor enclave is looked for.
    """
    failed = run(parent, "--enclave-cid", "3")
    assert failed.exit_code == 3, failed
    assert first_error(failed) == printed(
        "E03",
        "Invalid argument provided. The parameter `MISSING_INFO` is not a valid integer "
        "(`MISSING_INFO`)",
    )
