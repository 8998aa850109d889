"""nitro-cli's commands on images: build-enclave, describe-eif, pcr and sign-eif."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nsm_fake.eif import Eif, certificate_pcr, file_pcr, measure
from simulator.images.store import ImageStore
from simulator.placeholders import placeholder_files
from tests.nsm_fake.eif_images import certificate, image, metadata, pem_of_key, private_key
from tests.simulator.image_archives import APP, saved
from tests.simulator.nitro_cli_world import Finished, World

BUILD = ("build-enclave", "--docker-uri", "app:1", "--output-file", "out.eif")
PEM = ("--signing-certificate", "certificate.pem", "--private-key", "key.pem")
LOCAL = "Using the locally available Docker image...\n"
BUILT = f"Start building the Enclave Image...\n{LOCAL}Enclave Image successfully created.\n"
BLOBS = "/usr/share/nitro_enclaves/blobs"


@pytest.fixture(name="here")
def _here(machine: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An instance with the -devel package and the image `app:1`; a certificate with its key."""
    blobs = machine.folder.on_instance(BLOBS)
    blobs.mkdir(parents=True)
    for name, content in placeholder_files("amd64").items():
        (blobs / name).write_bytes(content)
    folder = tmp_path / "here"
    folder.mkdir()
    ImageStore(machine.folder.path / "images").load(saved(folder / "image.tar", APP))
    key, now = private_key(), dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    (folder / "key.pem").write_bytes(pem_of_key(key))
    (folder / "certificate.pem").write_bytes(certificate(key, begin=now - day, end=now + day))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("PATH", str(folder / "bin"))
    return machine


def root(finished: Finished) -> str:
    """The innermost subaction of the only error log."""
    (log,) = finished.error_logs
    return log.splitlines()[-4].strip()


def test_build(here: World) -> None:
    finished = here.run(*BUILD)
    assert (finished.exit_code, finished.stderr) == (0, BUILT)
    pcrs = measure(Path("out.eif")).as_hex()
    measurements = {"HashAlgorithm": "Sha384 { ... }", **pcrs}
    assert finished.stdout == json.dumps({"Measurements": measurements}, indent=2) + "\n"
    told = Eif.open(Path("out.eif")).metadata()
    assert told is not None
    assert (told["ImageName"], told["BuildMetadata"]["BuildTool"]) == ("app", "nitro-cli")
    assert told["BuildMetadata"]["BuildToolVersion"] == "1.4.4"
    # Of the simulator itself, so not among what a script compares.
    assert "PCRs are not those of an image that nitro-cli builds" in here.log()
    assert Path("home/.nitro_cli").is_dir()


@pytest.mark.parametrize("more", [(), ("--docker-dir", "context")])
def test_what_is_wrong_with_the_machine_s_store_is_no_failure_of_docker(
    here: World, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("context").mkdir()
    Path("context/Dockerfile").write_text('FROM scratch\nCMD ["/app"]\n')
    index = here.folder.path / "images" / "store.json"
    kept = index.read_text()
    index.write_text("{")
    finished = here.run(*BUILD, *more)
    assert finished.exit_code == 70
    assert "store.json is damaged" in finished.stderr
    assert index.read_text() == "{"
    index.write_text(kept)
    if more:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(ImageStore, "add", full)
        finished = here.run(*BUILD, *more)
        assert finished.exit_code == 70
        assert "No space left on device" in finished.stderr


def test_build_with_everything(here: World) -> None:
    Path("more.json").write_text('{"commit": "4e2d1bf"}')
    words = ["--name", "mine", "--version", "7", "--metadata", "more.json", *PEM]
    finished = here.run("--nitro-cli-version=1.5.0", *BUILD, *words)
    assert finished.exit_code == 0
    shown = json.loads(finished.stdout)["Measurements"]
    assert shown["HashAlgorithm"] == "Sha512_48 { .. }"
    assert shown["PCR8"] == certificate_pcr(Path("certificate.pem").read_bytes()).hex()
    told = Eif.open(Path("out.eif")).metadata()
    assert told is not None
    assert (told["ImageName"], told["ImageVersion"]) == ("mine", "7")
    assert told["CustomMetadata"] == {"commit": "4e2d1bf"}


def test_an_empty_name_is_a_name(here: World) -> None:
    assert here.run(*BUILD, "--name", "", "--version", "").exit_code == 0
    told = Eif.open(Path("out.eif")).metadata()
    assert told is not None
    assert (told["ImageName"], told["ImageVersion"]) == ("", "")


def test_a_folder_for_artifacts_that_has_no_name(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NITRO_CLI_ARTIFACTS", "")
    finished = here.run(*BUILD)
    assert finished.exit_code == 48
    assert root(finished) == "Failed to create EIF image: ArtifactsPrefixError"


def test_build_of_a_dockerfile(here: World) -> None:
    Path("context").mkdir()
    Path("context/Dockerfile").write_text('FROM scratch\nCMD ["/app"]\n')
    finished = here.run(*BUILD, "--docker-dir", "context")
    assert finished.exit_code == 0
    assert LOCAL not in finished.stderr
    stored = ImageStore(here.folder.path / "images").find("app:1")
    assert stored is not None
    assert stored.config.command == ("/app",)
    told = Eif.open(Path("out.eif")).metadata()
    assert told is not None
    assert told["ImageVersion"] == stored.identifier.removeprefix("sha256:")


def remove(name: str) -> Callable[[World], None]:
    return lambda here: here.folder.on_instance(f"{BLOBS}/{name}").unlink()


def write(name: str, content: str = "") -> Callable[[World], None]:
    def change(_: World) -> None:
        Path(name).write_text(content)

    return change


OPENED = 'code: 2, kind: NotFound, message: "No such file or directory"'
SIGNING = "Could not open the certificate file: Os { " + OPENED + " }"


@pytest.mark.parametrize(
    ("change", "words", "code", "said"),
    [
        (remove("cmdline"), (), 19, f"Could not open kernel command line file: Os {{ {OPENED} }}"),
        (remove("bzImage.config"), (), 48, 'Could not generate build info: "Failed to open'),
        (remove("init"), (), 48, "Failed to create EIF image: InitPathError"),
        (remove("nsm.ko"), (), 48, "Failed to create EIF image: NsmPathError"),
        (remove("bzImage"), (), 48, "Failed to create EIF image: KernelPathError"),
        (remove("linuxkit"), (), 48, "Failed to create EIF image: LinuxkitPathError"),
        (write("home"), (), 19, "Could not create artifacts path "),
        (write("x"), ("--metadata", "y"), 48, "Failed to create EIF image: MetadataPathError"),
        (write("x", "{"), ("--metadata", "x"), 48, "Failed to create EIF image: MetadataError("),
        (write("x"), ("--docker-dir", "x"), 49, "Failed to build docker image: DockerfilePathE"),
        (write("x"), ("--docker-dir", "."), 49, "Failed to build docker image: DockerError"),
    ],
)
def test_what_build_refuses(
    here: World, change: Callable[[World], None], words: tuple[str, ...], code: int, said: str
) -> None:
    change(here)
    finished = here.run(*BUILD, *words)
    assert (finished.exit_code, finished.stdout) == (code, "")
    assert root(finished).startswith(said)
    # Emptied before anything but the command line was looked at.
    assert Path("out.eif").exists() == ("command line" not in said)


def test_an_output_that_cannot_be_written(here: World) -> None:
    finished = here.run(*BUILD[:-1], "none/out.eif")
    assert finished.exit_code == 19
    assert "\nFile: 'none/out.eif', failing operation: 'Open'.\n" in finished.stderr
    assert root(finished) == f"Could not create output file: Os {{ {OPENED} }}"


def test_an_output_that_is_no_file(here: World) -> None:
    assert here.run(*BUILD[:-1], "/dev/null").exit_code == 0


def test_an_output_in_a_folder_that_takes_no_other_file(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path("out.eif")
    file.touch()
    before = file.stat().st_ino
    monkeypatch.setattr(os, "access", lambda path, mode: path != Path.cwd() or mode != os.W_OK)
    assert here.run(*BUILD).exit_code == 0
    assert file.stat().st_ino == before
    assert measure(file)


def test_a_command_line_that_does_not_read(here: World) -> None:
    place = here.folder.on_instance(f"{BLOBS}/cmdline")
    place.write_bytes(b"\xff")
    assert "did not contain valid UTF-8" in root(here.run(*BUILD))
    place.unlink()
    place.mkdir()
    finished = here.run(*BUILD)
    assert root(finished).startswith("Failed to read kernel command line: Os { code: 21")
    assert "failing operation: 'Read'" in finished.stderr


def test_the_older_version_builds_unsigned_what_it_cannot_sign(here: World) -> None:
    words = ["--signing-certificate", "none.pem", "--private-key", "key.pem"]
    finished = here.run(*BUILD, *words)
    assert finished.exit_code == 0
    assert f"Could not read signing info: {json.dumps(SIGNING)}\n" in finished.stderr
    assert Eif.open(Path("out.eif")).signature is None
    finished = here.run("--nitro-cli-version", "1.5.0", *BUILD, *words)
    assert finished.exit_code == 48
    assert root(finished).startswith('Failed to create EIF image: SignImageError("Could not open')
    assert Path("out.eif").stat().st_size == 0


def test_a_key_that_does_not_sign(here: World) -> None:
    Path("key.pem").write_text("no key")
    finished = here.run(*BUILD, *PEM)
    # A panic of the real one.
    assert (finished.exit_code, finished.stdout, finished.error_logs) == (101, "", ())
    assert "The private key does not read" in finished.stderr


def docker(script: str) -> None:
    """A docker command on PATH, and the shell that it needs."""
    Path("bin").mkdir()
    Path("bin/docker").write_text(f"#!/bin/sh\n{script}\n")
    Path("bin/docker").chmod(0o755)
    for name in ("cp", "sh"):
        found = shutil.which(name, path=os.defpath)
        assert found is not None
        Path("bin", name).symlink_to(found)


def test_an_image_of_a_docker_engine(here: World) -> None:
    docker('case "$1" in image) ;; save) cp image.tar "$3";; *) exit 1;; esac')
    finished = here.run("build-enclave", "--docker-uri", "other", "--output-file", "out.eif")
    assert (finished.exit_code, finished.stderr) == (0, BUILT)


def test_a_dockerfile_that_needs_a_docker_engine(here: World) -> None:
    Path("Dockerfile").write_text("FROM scratch\nRUN make\n")
    words = (*BUILD, "--docker-dir", ".")
    assert root(here.run(*words)) == "Failed to build docker image: DockerError"
    docker('case "$1" in version) ;; build) test "$4" = app:1;; save) cp image.tar "$3";; esac')
    assert here.run(*words).exit_code == 0


def test_an_engine_that_does_not_give_an_image(here: World) -> None:
    docker('case "$1" in image) ;; *) exit 1;; esac')
    finished = here.run("build-enclave", "--docker-uri", "other", "--output-file", "out.eif")
    assert finished.exit_code == 48
    assert "\nDocker error: InspectError\n" in finished.stderr


def test_the_newer_version_says_more_of_an_image_that_is_not_there(here: World) -> None:
    words = ("build-enclave", "--docker-uri", "none", "--output-file", "out.eif")
    stderr = here.run("--nitro-cli-version", "1.5.0", *words).stderr
    assert stderr.splitlines()[1].startswith("Stream error: ")
    assert stderr.splitlines()[2] == "Docker error: PullError"
    assert "attested-kms machine load" in here.log()


def test_describe_eif(here: World) -> None:
    image(Path("x.eif"), told=metadata(custom={"commit": "4e2d1bf"}))
    finished = here.run("describe-eif", "--eif-path", "x.eif")
    assert (finished.exit_code, finished.stderr) == (0, "")
    shown = json.loads(finished.stdout)
    assert shown["CheckCRC"] is True
    assert shown["Metadata"]["commit"] == "4e2d1bf"
    assert list(shown)[:3] == ["EifVersion", "Measurements", "IsSigned"]


def test_describe_eif_of_what_is_none(here: World) -> None:
    finished = here.run("describe-eif", "--eif-path", "none.eif")
    assert (finished.exit_code, finished.stdout) == (35, "")
    assert root(finished).startswith(
        'Failed to initialize EIF reader: "Failed to open the EIF file: Os { code: 2, '
    )
    Path("x.eif").touch()
    said = root(here.run("describe-eif", "--eif-path", "x.eif"))
    assert said.startswith('Failed to initialize EIF reader: "Error while reading EIF header: ')


def test_describe_eif_of_metadata_that_cannot_be_shown(here: World) -> None:
    image(Path("x.eif"), told=metadata(custom=[1]))
    finished = here.run("describe-eif", "--eif-path", "x.eif")
    assert finished.exit_code == 17
    assert "can only flatten structs and maps (got a sequence)" in root(finished)


def test_pcr(here: World) -> None:
    Path("file").write_bytes(b"content")
    finished = here.run("pcr", "--input", "file")
    assert finished.stdout == json.dumps({"PCR": file_pcr(Path("file")).hex()}, indent=2) + "\n"
    finished = here.run("pcr", "--signing-certificate", "certificate.pem")
    expected = certificate_pcr(Path("certificate.pem").read_bytes()).hex()
    assert json.loads(finished.stdout) == {"PCR8": expected}


@pytest.mark.parametrize(
    ("option", "path", "code", "said"),
    [
        ("input", "none", 19, "Failed to open file: Os { code: 2, kind: NotFound"),
        ("input", ".", 19, "Failed to read file: Os { code: 21, kind: IsADirectory"),
        ("signing-certificate", "key.pem", 57, "Failed to deserialize .pem: "),
    ],
)
def test_what_pcr_refuses(here: World, option: str, path: str, code: int, said: str) -> None:
    finished = here.run("pcr", f"--{option}", path)
    assert (finished.exit_code, finished.stdout) == (code, "")
    assert root(finished).startswith(said)
    assert "\nFile: " not in finished.stderr


def test_sign_eif(here: World) -> None:
    image(Path("x.eif"))
    finished = here.run("sign-eif", "--eif-path", "x.eif", *PEM)
    assert (finished.exit_code, finished.stderr) == (0, "Enclave Image successfully signed.\n")
    shown = json.loads(finished.stdout)["Measurements"]
    assert shown["PCR8"] == certificate_pcr(Path("certificate.pem").read_bytes()).hex()
    assert json.loads(here.run("describe-eif", "--eif-path", "x.eif").stdout)["SignatureCheck"]


KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("words", "code", "said", "stderr"),
    [
        ((), 1, "`eif-path` argument not found", "`MISSING_INFO`"),
        (("--eif-path", "x.eif"), 60, "Failed to create EifSigner", ""),
        (("--eif-path", "none", *PEM), 60, "Failed to sign image: Failed to open the EIF", ""),
        (
            ("--eif-path", "x.eif", *PEM[:-1], "none"),
            60,
            "Failed to create EifSigner",
            'Could not read signing info: "Could not open the key file: ',
        ),
        (
            ("--eif-path", "x.eif", *PEM[:-1], KEY_ARN),
            60,
            "Failed to create EifSigner",
            "is a key in KMS",
        ),
    ],
)
def test_what_sign_eif_refuses(
    here: World, words: tuple[Any, ...], code: int, said: str, stderr: str
) -> None:
    image(Path("x.eif"))
    before = Path("x.eif").read_bytes()
    finished = here.run("sign-eif", *words)
    assert (finished.exit_code, finished.stdout) == (code, "")
    assert root(finished).startswith(said)
    assert stderr in finished.stderr
    assert Path("x.eif").read_bytes() == before
