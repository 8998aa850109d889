"""What goes wrong before KMS is ever called, with nitro-cli: bugs 1, 3 and 9 of the field notes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from scenarios.target import (
    Capability,
    Finished,
    KmsError,
    MakeStatement,
    ParentInstance,
    Result,
    Target,
)

SOURCE = "aws-nitro-enclaves-cli 1.4.4, its sources"
PORT = 5000


def build(
    parent: ParentInstance, uri: str, name: str = "app.eif", **environment: str | None
) -> Finished:
    """Build `name` in the instance's folder from the image."""
    path = f"{parent.folder}/{name}"
    return parent.nitro_cli(
        *("build-enclave", "--docker-uri", uri, "--output-file", path), environment=environment
    )


def run_arguments(parent: ParentInstance, *more: str, name: str = "app.eif") -> tuple[str, ...]:
    """The command line that runs `name` with the whole CPU pool."""
    return (
        "run-enclave",
        *("--eif-path", f"{parent.folder}/{name}"),
        *("--cpu-count", str(parent.cpus), "--memory", str(parent.memory_mib)),
        *more,
    )


def described(parent: ParentInstance) -> list[dict[str, Any]]:
    """What describe-enclaves says."""
    found: list[dict[str, Any]] = json.loads(succeeded(parent.nitro_cli("describe-enclaves")))
    return found


def succeeded(finished: Finished) -> str:
    """The output of a command that must have succeeded."""
    assert finished.exit_code == 0, finished
    return finished.stdout


def error_logs(parent: ParentInstance, finished: Finished) -> list[str]:
    """The error logs that the command's messages name, in their order."""
    paths = re.findall(r'please provide the error log found at "([^"]+)"', finished.stderr)
    return [parent.read(path) for path in paths]


def errors(finished: Finished) -> list[str]:
    """The codes of the errors that the command printed: `E29`."""
    return re.findall(r"^\[ (E\d\d) \]", finished.stderr, re.MULTILINE)


def until_gone(parent: ParentInstance, *, attempts: int = 200) -> list[dict[str, Any]]:
    """describe-enclaves until it shows none, or to the end of the attempts: what it shows."""
    found = described(parent)
    while found and attempts:
        attempts -= 1
        found = described(parent)
    return found


@pytest.mark.needs(Capability.PARENT_INSTANCE)
@pytest.mark.reported("tsyrulb/EphemeralML, commits of 2026-01-26, bug 1 of the field notes")
def test_bug_1_cmd_replaces_the_entrypoint(parent: ParentInstance) -> None:
    """ENTRYPOINT /hello with CMD --mode vsock: the enclave boots, and is gone at once.

    nitro-cli takes CMD and drops ENTRYPOINT, so that init tries to run `--mode`. run-enclave
    succeeds all the same, describe-enclaves shows nothing, and only the console of an enclave in
    debug mode tells why. With all in CMD the enclave stays.
    """
    succeeded(build(parent, parent.image(entrypoint=["/hello"], cmd=["--mode", "vsock"])))
    attached = parent.nitro_cli(*run_arguments(parent, "--attach-console"))
    assert attached.exit_code == 45, attached
    assert errors(attached) == ["E45"]
    assert "execvpe: --mode: No such file or directory" in attached.stdout
    assert "reboot: Restarting system" in attached.stdout
    assert until_gone(parent) == []

    quiet = parent.nitro_cli(*run_arguments(parent))
    assert json.loads(succeeded(quiet))["NumberOfCPUs"] == parent.cpus
    assert errors(quiet) == []
    assert until_gone(parent) == []

    succeeded(build(parent, parent.image(cmd=["/hello", "--mode", "vsock"])))
    enclave = json.loads(succeeded(parent.nitro_cli(*run_arguments(parent))))
    assert [one["EnclaveID"] for one in described(parent)] == [enclave["EnclaveID"]]


@pytest.mark.needs(Capability.PARENT_INSTANCE)
@pytest.mark.inferred("aws-nitro-enclaves-sdk-bootstrap, init/init.c; issues of nitro-cli")
def test_bug_1_a_program_that_ends_reboots_the_enclave(parent: ParentInstance) -> None:
    """A main process that ends, though with success, ends the enclave, and init says nothing."""
    succeeded(build(parent, parent.image(cmd=["/once"])))
    attached = parent.nitro_cli(*run_arguments(parent, "--attach-console"))
    assert attached.exit_code == 45, attached
    assert "once" in attached.stdout
    assert "execvpe" not in attached.stdout
    assert "child exited" not in attached.stdout
    assert "reboot: Restarting system" in attached.stdout
    assert until_gone(parent) == []


@pytest.mark.needs(Capability.NITRO_CLI)
@pytest.mark.inferred(SOURCE)
def test_bug_3_no_folder_for_artifacts(parent: ParentInstance) -> None:
    """build-enclave without HOME, as SSM runs scripts, is E51; NITRO_CLI_ARTIFACTS mends it.

    The output file was made before, and is left behind empty.
    """
    uri = parent.image(cmd=["/hello"])
    failed = build(parent, uri, HOME=None, NITRO_CLI_ARTIFACTS=None)
    assert failed.exit_code == 51, failed
    assert errors(failed) == ["E51"]
    [log] = error_logs(parent, failed)
    assert "set either HOME or NITRO_CLI_ARTIFACTS" in log
    assert parent.size(f"{parent.folder}/app.eif") == 0

    mended = build(parent, uri, HOME=None, NITRO_CLI_ARTIFACTS=f"{parent.folder}/artifacts")
    assert set(json.loads(succeeded(mended))["Measurements"]) > {"PCR0", "PCR1", "PCR2"}


@pytest.mark.needs(Capability.NITRO_CLI)
@pytest.mark.inferred(SOURCE)
def test_bug_3_is_masked_by_a_missing_package(parent: ParentInstance) -> None:
    """Without the files of -devel the same command fails earlier, with E19 instead of E51.

    So who installs the package then meets E51 for the first time.
    """
    uri = parent.image(cmd=["/hello"])
    no_devel = {"NITRO_CLI_BLOBS": f"{parent.folder}/no-blobs"}
    both = build(parent, uri, HOME=None, NITRO_CLI_ARTIFACTS=None, **no_devel)
    assert both.exit_code == 19, both
    assert errors(both) == ["E19"]
    assert f"{parent.folder}/no-blobs" in both.stderr
    assert "failing operation: 'Open'" in both.stderr
    assert parent.size(f"{parent.folder}/app.eif") is None

    installed = build(parent, uri, HOME=None, NITRO_CLI_ARTIFACTS=None)
    assert errors(installed) == ["E51"]


# run-enclave asks the driver for a VM before it looks into the image.
@pytest.mark.needs(Capability.PARENT_INSTANCE)
@pytest.mark.inferred(SOURCE)
def test_bug_3_leaves_an_empty_image_that_does_not_run(parent: ParentInstance) -> None:
    """run-enclave with the empty file that a failed build left fails by its signature check."""
    failed = build(parent, parent.image(cmd=["/hello"]), HOME=None, NITRO_CLI_ARTIFACTS=None)
    assert errors(failed) == ["E51"]
    ran = parent.nitro_cli(*run_arguments(parent))
    assert ran.exit_code == 39, ran
    assert errors(ran) == ["E59", "E39"]
    assert "Failed connections: 1" in ran.stderr


@pytest.mark.needs(Capability.PARENT_INSTANCE)
@pytest.mark.inferred(SOURCE + "; the notes' scripts ran the command under timeout")
def test_bug_9_an_enclave_outlives_its_command(parent: ParentInstance) -> None:
    """run-enclave --attach-console that is killed leaves the enclave, which holds its CPUs.

    The next one is refused with E29 and E39, exit code 39, and only the error log names the pool.
    What mends it is terminate-enclave.
    """
    succeeded(build(parent, parent.image(cmd=["/hello"])))
    killed = parent.nitro_cli_killed(*run_arguments(parent, "--attach-console"), after="hello")
    assert killed.exit_code < 0
    [held] = described(parent)
    assert held["State"] == "RUNNING"

    second = parent.nitro_cli(*run_arguments(parent))
    assert second.exit_code == 39, second
    assert errors(second) == ["E29", "E39"]
    assert "Failed connections: 1" in second.stderr
    assert "no CPUs are available in the pool" not in second.stderr
    first_log, last_log = error_logs(parent, second)
    assert "no CPUs are available in the pool" in first_log
    assert "Failed to connect to 1 enclave processes" in last_log

    ended = parent.nitro_cli("terminate-enclave", "--enclave-id", held["EnclaveID"])
    assert json.loads(succeeded(ended))["Terminated"] is True
    succeeded(parent.nitro_cli(*run_arguments(parent)))


@pytest.mark.needs(Capability.PARENT_INSTANCE, Capability.ENCLAVE, Capability.POLICY_CHANGE)
@pytest.mark.inferred("aws-nitro-enclaves-cli, issue 695; real documents of debug enclaves")
def test_pcrs_that_describe_shows_of_a_debug_enclave_open_no_key(
    parent: ParentInstance,
    target: Target,
    statement: MakeStatement,
    recipient_of: Callable[[bytes], Mapping[str, Any]],
    recipient_spki: bytes,
) -> None:
    """describe-enclaves shows the image's PCRs in debug mode too; the document has zeros.

    A key policy with the PCR0 that describe-enclaves shows therefore refuses the debug enclave,
    and allows the same image without debug mode.
    """
    succeeded(build(parent, parent.image(cmd=["/hello"])))
    documents = {}
    images = {}
    for mode, arguments in {"debug": ("--debug-mode",), "normal": ()}.items():
        succeeded(parent.nitro_cli(*run_arguments(parent, *arguments)))
        [enclave] = described(parent)
        images[mode] = enclave["Measurements"]["PCR0"]
        answer = parent.ask(enclave["EnclaveCID"], PORT, base64.b64encode(recipient_spki))
        documents[mode] = base64.b64decode(answer)
        # Not --all: on hardware there may be enclaves of others.
        ended = parent.nitro_cli("terminate-enclave", "--enclave-id", enclave["EnclaveID"])
        succeeded(ended)
    assert images["debug"] == images["normal"]

    condition = {"StringEquals": {"kms:RecipientAttestation:PCR0": images["debug"]}}
    key = target.key([statement(condition=condition)])
    members = {"CiphertextBlob": key.encrypt(b"secret")}
    refused = target.kms.call("Decrypt", {**members, "Recipient": recipient_of(documents["debug"])})
    assert isinstance(refused, KmsError)
    assert refused.code == "AccessDeniedException"
    allowed = target.kms.call(
        "Decrypt", {**members, "Recipient": recipient_of(documents["normal"])}
    )
    assert isinstance(allowed, Result), allowed
    assert "CiphertextForRecipient" in allowed.members
