"""The bugs of the field notes from which this project grew, each with what is known of it today.

The notes are the lab notebook of one evening and the next morning (January 2026, nitro-cli 1.4.4,
Amazon Linux 2023). Symptoms are theirs; causes are from the commits behind them, from sources and
from runs, and some are not the notes' own. Written by hand; the scenarios that show each bug are
named here because the wheel does not carry them. A test holds the names and their evidence to the
suite, the explanations and the checks to theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kms_fake.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Shown:
    """A scenario that shows a bug: `area/name`, and its one evidence marker."""

    id: str
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One bug; each text is one or more sentences for users."""

    number: str
    """As the notes count: `1` to `9`, `8.1` to `8.3`; or `checklist`, which ends the notes."""
    title: str
    """In one line, without a full stop."""
    symptom: str
    """What was seen."""
    cause: str
    """What was behind it, as far as is known."""
    fix: str
    correction: str = ""
    """What of the notes' explanation proved wrong; empty where it holds."""
    evidence: Evidence
    """Of the cause."""
    source: str
    scenarios: Sequence[Shown]
    explains: Sequence[str] = ()
    """Ids of `attested-kms explain`."""
    checks: Sequence[str] = ()
    """Ids of `attested-kms doctor`."""


def find(number: str) -> list[Bug]:
    """The bug with this number and those that are parts of it: 8 has 8.1. Empty for none."""
    return [bug for bug in BUGS if bug.number == number or bug.number.startswith(f"{number}.")]


def _documented(*ids: str) -> tuple[Shown, ...]:
    return tuple(Shown(each, Evidence.DOCUMENTED) for each in ids)


def _reported(*ids: str) -> tuple[Shown, ...]:
    return tuple(Shown(each, Evidence.REPORTED) for each in ids)


def _inferred(*ids: str) -> tuple[Shown, ...]:
    return tuple(Shown(each, Evidence.INFERRED) for each in ids)


BUGS = (
    Bug(
        number="1",
        title="The enclave reboots at once",
        symptom="run-enclave succeeds, describe-enclaves shows nothing, the application has said "
        "nothing. In debug mode the console ends with `reboot: Restarting system`, and nitro-cli "
        "with E45.",
        cause="nitro-cli takes the image's CMD and drops its ENTRYPOINT: with ENTRYPOINT "
        '["/vsock-pingpong"] and CMD ["--mode", "vsock"], init tries to run `--mode`. An enclave '
        "whose main process ends reboots too, and says nothing.",
        fix="Put the whole command into CMD, or into ENTRYPOINT without a CMD; let the main "
        "process never end. `attested-kms lint` tells it from the Dockerfile.",
        correction="The notes say that /init must exec the program. Theirs did not: it ran the "
        "program as a child and slept after it. The program is never PID 1 of an enclave anyway.",
        evidence=Evidence.REPORTED,
        source="tsyrulb/EphemeralML, commits of 2026-01-26; aws-nitro-enclaves-cli 1.4.4, "
        "enclave_build/src/docker.rs; aws-nitro-enclaves-sdk-bootstrap, init/init.c",
        scenarios=(
            *_reported("parent/bug-1-cmd-replaces-the-entrypoint"),
            *_inferred("parent/bug-1-a-program-that-ends-reboots-the-enclave"),
        ),
        explains=("host.reboot", "host.console-read"),
    ),
    Bug(
        number="2",
        title="A package that does not exist keeps all others away",
        symptom="After user-data that succeeded: `nitro-cli: command not found`, and `Unit file "
        "nitro-enclaves-allocator.service does not exist`.",
        cause="There is no package aws-nitro-enclaves-allocator. dnf installs nothing at all where "
        "one name is unknown (`Error: Unable to find a match`, exit code 1), and `|| true` behind "
        "it let the script go on.",
        fix="dnf install -y aws-nitro-enclaves-cli aws-nitro-enclaves-cli-devel; the services of "
        "allocator and vsock-proxy come with the former. No `|| true` behind an installation.",
        correction="The notes name the missing package. That the two others were missing too came "
        "of dnf's all or nothing, and that nobody saw it of `|| true`.",
        evidence=Evidence.REPORTED,
        source="tsyrulb/EphemeralML, user_data_al2023.sh; a run of dnf 4.14.0 on a repository with "
        "the same names; SPECS/aws-nitro-enclaves-cli.spec",
        scenarios=(
            *_reported(
                "setup/bug-2-one-unknown-name-installs-nothing",
                "setup/bug-2-skip-broken-installs-the-others",
            ),
            *_inferred("setup/bug-2-or-true-hides-it"),
        ),
        explains=("host.package",),
        checks=("packages.cli", "packages.devel", "packages.unknown"),
    ),
    Bug(
        number="3",
        title="build-enclave has no folder for its artifacts",
        symptom="`[ E51 ] Artifacts path environment variable not set`, and an .eif of 0 bytes, "
        "which run-enclave refuses with E59 and E39.",
        cause="Neither NITRO_CLI_ARTIFACTS nor HOME is set: Systems Manager gives scripts no HOME. "
        "The output file is made before that is noticed. A missing -devel package (bug 2) fails "
        "earlier, with E19, and hides it.",
        fix='export HOME=/root, or export NITRO_CLI_ARTIFACTS="$PWD/artifacts"; remove the empty '
        "file.",
        evidence=Evidence.INFERRED,
        source="aws-nitro-enclaves-cli 1.4.4, src/lib.rs; field notes, bug 3",
        scenarios=_inferred(
            "parent/bug-3-no-folder-for-artifacts",
            "parent/bug-3-is-masked-by-a-missing-package",
            "parent/bug-3-leaves-an-empty-image-that-does-not-run",
            "systems-manager/bug-3-systems-manager-gives-no-home",
        ),
        explains=("host.artifacts-path", "host.blobs", "host.empty-eif"),
        checks=("artifacts.folder",),
    ),
    Bug(
        number="4",
        title="Rust's tools are missing, or cannot link",
        symptom="`sudo: cargo: command not found`; then ``error: linker `cc` not found``; then "
        "`CARGO_HOME: unbound variable`.",
        cause="sudo has a PATH and a HOME of its own (secure_path, always_set_home), without "
        ".cargo/bin and .rustup. Rust links with cc, which rustup does not bring. Under `set -u` a "
        "variable that nobody has set ends the script.",
        fix='dnf install -y gcc gcc-c++ make; build without sudo, or with sudo env PATH="$PATH" '
        'HOME="$HOME" cargo build; export HOME, CARGO_HOME and RUSTUP_HOME before they are used.',
        evidence=Evidence.REPORTED,
        source="field notes, bug 4; runs of bash and rustc on another Linux; sudoers(5)",
        scenarios=(
            *_reported("setup/bug-4-no-linker", "setup/bug-4-unset-variables"),
            *_inferred("setup/bug-4-sudo-does-not-find-cargo"),
        ),
        explains=("host.linker",),
        checks=(
            *("toolchain.compiler", "toolchain.linker"),
            *("toolchain.sudo", "toolchain.variables"),
        ),
    ),
    Bug(
        number="5",
        title="A script sent by Systems Manager seems to end in its middle",
        symptom="The output stops at a step in the middle of the script, without an error; the "
        "steps after it seem never to have run.",
        cause="Output is cut where it is shown: after 2,500 characters in ListCommandInvocations, "
        "after 24,000 in GetCommandInvocation, with a mark at the end. The script goes on. One "
        "that is too long (64 KB with its document) is refused, not cut.",
        fix="End the script with a line such as `DONE rc=$?`, write logs into a file and fetch "
        "them in pieces or from S3; look at status and exit code. `attested-kms ssm run` does so, "
        "and sends scripts of any length in chunks.",
        correction="The notes blame the script's length. It had 10,965 bytes, far below 64 KB; its "
        "chunks of base64 did no harm, and what was cut is more likely the output.",
        evidence=Evidence.INFERRED,
        source="tsyrulb/EphemeralML, commit 3d4b65d; AWS Systems Manager API Reference; "
        "amazon-ssm-agent, its sources",
        scenarios=(
            *_documented(
                "systems-manager/bug-5-output-is-cut-and-the-script-had-finished",
                "systems-manager/bug-5-a-document-over-64-kb-is-refused",
            ),
            *_inferred(
                "systems-manager/bug-5-listed-output-is-cut-much-earlier",
                "systems-manager/bug-5-a-log-is-fetched-whole",
                "systems-manager/bug-5-chunks-arrive-whole",
            ),
        ),
        explains=("ssm.output-truncated", "ssm.size"),
    ),
    Bug(
        number="6",
        title="Recipient is not the document",
        symptom="The build breaks: `expected RecipientInfo, found Blob`. boto3: `Invalid type for "
        "parameter Recipient`.",
        cause="Recipient is a structure with AttestationDocument and KeyEncryptionAlgorithm, and "
        "the document alone was passed.",
        fix="Pass both. In Rust: RecipientInfo::builder() with .attestation_document(...) and "
        ".key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256).",
        correction="The notes call it an API change. Recipient has been RecipientInfo for as long "
        "as the SDKs have had it (2023-05-01).",
        evidence=Evidence.DOCUMENTED,
        source="AWS KMS API Reference, Decrypt; changelogs of the SDKs; runs of botocore and rustc",
        scenarios=(
            *_documented("bugs/bug-6-recipient-as-a-blob-does-not-leave-the-sdk"),
            *_inferred("bugs/bug-6-recipient-as-a-blob-on-the-wire"),
        ),
        explains=("client.recipient-type", "client.cli-recipient", "request.member-type"),
    ),
    Bug(
        number="7",
        title="GenerateDataKey needs a size",
        symptom="`ValidationException: Please specify either number of bytes or key spec.`",
        cause="The request has neither KeySpec nor NumberOfBytes; with both it is most likely the "
        "same.",
        fix="Pass exactly one: KeySpec AES_256 or AES_128, or NumberOfBytes.",
        evidence=Evidence.REPORTED,
        source="field notes, bug 7",
        scenarios=(
            *_reported("bugs/bug-7-data-key-without-size"),
            *_inferred("bugs/bug-7-data-key-with-both-sizes"),
        ),
        explains=("request.data-key-size",),
    ),
    Bug(
        number="8",
        title="Decrypt with Recipient: one error behind the other",
        symptom="Three ValidationExceptions (8.1, 8.2, 8.3), each seen only after the one before "
        "was mended.",
        cause="KMS answers with the first thing that is wrong: the algorithm, then the public key, "
        "then its encoding.",
        fix="Mend all three at once. `attested-kms inspect` names all that is wrong with a "
        "document, not the first thing alone.",
        evidence=Evidence.REPORTED,
        source="field notes, bug 8",
        scenarios=(
            *_reported("bugs/bug-8-each-fix-advances-to-the-next-error"),
            *_inferred("bugs/bug-8-generate-data-key-meets-the-same-errors"),
        ),
    ),
    Bug(
        number="8.1",
        title="No KeyEncryptionAlgorithm in Recipient",
        symptom="`ValidationException: You must specify an encryption algorithm in this request.`",
        cause="Recipient has no KeyEncryptionAlgorithm.",
        fix="Set KeyEncryptionAlgorithm to RSAES_OAEP_SHA_256 in Recipient.",
        correction="The notes tell EncryptionAlgorithm as the fix. Their commits set it first and "
        "went on to fight the error; KeyEncryptionAlgorithm, set minutes later, ended it. Clients "
        "that work on real KMS send no EncryptionAlgorithm, and the checklist's advice to send it "
        "does no good, nor harm.",
        evidence=Evidence.INFERRED,
        source="tsyrulb/EphemeralML, commits 44c632c, 774e958, 4e2d1bf and 0778afa; yawn/ned, a "
        "run on real KMS",
        scenarios=(
            *_reported("bugs/bug-8-1-encryption-algorithm-is-optional"),
            *_inferred(
                "bugs/bug-8-1-no-key-encryption-algorithm",
                "bugs/bug-8-1-as-the-field-notes-tell-it",
            ),
        ),
        explains=("recipient.key-encryption-algorithm", "recipient.encryption-algorithm"),
    ),
    Bug(
        number="8.2",
        title="No public key in the attestation document",
        symptom="`ValidationException: You must specify a recipient public key in this request.`",
        cause="The enclave asked the NSM for a document without public_key; the NSM signs that "
        "without complaint.",
        fix="Put the RSA public key into the Attestation request, as DER SubjectPublicKeyInfo.",
        evidence=Evidence.REPORTED,
        source="field notes, bug 8.2",
        scenarios=_reported("bugs/bug-8-2-no-public-key"),
        explains=("public-key.missing",),
    ),
    Bug(
        number="8.3",
        title="The public key in the wrong encoding",
        symptom="`ValidationException: Invalid public key`",
        cause="The key is DER of PKCS#1 (RSAPublicKey), not of SubjectPublicKeyInfo.",
        fix="Encode it as SubjectPublicKeyInfo, DER: in Rust to_public_key_der().",
        correction='The notes call the right form "SPKI/PKCS#8". PKCS#8 is for private keys.',
        evidence=Evidence.REPORTED,
        source="field notes, bug 8.3",
        scenarios=_reported("bugs/bug-8-3-pkcs1-public-key"),
        explains=("public-key.encoding",),
    ),
    Bug(
        number="9",
        title="A forgotten enclave holds the CPUs",
        symptom="run-enclave fails with E29 and E39, exit code 39; only the error log says that no "
        "CPUs are available in the pool.",
        cause="An enclave is a process of its own: `timeout 30 nitro-cli run-enclave "
        "--attach-console` ends the command and leaves the enclave. An m6i.xlarge has CPUs for "
        "exactly one.",
        fix="nitro-cli describe-enclaves, then nitro-cli terminate-enclave --enclave-id ID (or "
        "--all), before each run and in a trap of the script.",
        correction="The notes name old enclaves and not where they came from: their own script, "
        "which ran nitro-cli under timeout. `No CPUs available in CPU pool` with `[rc=-22]` in "
        "dmesg is not this bug: every start of the allocator says it.",
        evidence=Evidence.INFERRED,
        source="tsyrulb/EphemeralML, ssm_diag10.sh; aws-nitro-enclaves-cli 1.4.4, "
        "src/enclave_proc/mod.rs",
        scenarios=_inferred("parent/bug-9-an-enclave-outlives-its-command"),
        explains=("host.cpu-pool", "host.enclave-process", "host.pool-in-use", "host.driver-noise"),
        checks=("allocator.service", "enclaves.running", "kernel.noise"),
    ),
    Bug(
        number="checklist",
        title="From a bare instance to a running enclave",
        symptom="Each fix shows the next fault: the packages, then the allocator, then the folder "
        "for artifacts, then the CPUs.",
        cause="The faults hide one another: nothing of nitro-cli can fail before it is installed, "
        "and build-enclave misses its -devel package before it misses HOME.",
        fix="`attested-kms doctor` names what is to be mended next, with the command that does it, "
        "until there is no error.",
        correction="The notes' checklist asks for EncryptionAlgorithm in Decrypt, which does "
        "nothing (8.1), and for both HOME and NITRO_CLI_ARTIFACTS, of which one is enough. It "
        "forgets the Docker engine.",
        evidence=Evidence.INFERRED,
        source="field notes, their checklist; aws-nitro-enclaves-cli 1.4.4, src/lib.rs",
        scenarios=_inferred("setup/checklist-from-a-bare-instance-to-a-running-enclave"),
    ),
)
"""In the order of the notes."""
