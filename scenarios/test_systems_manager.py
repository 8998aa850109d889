"""A script sent with AWS Systems Manager: bug 5 of the field notes in both readings, and bug 3.

The notes saw a script end in its middle and blame its length. Their script had 10,965 bytes, which
is no length at all; what is cut at such places is the output that is shown. Both are scenarios.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator

import pytest

from scenarios.target import (
    Capability,
    FreshInstance,
    Invocation,
    ServiceRefusal,
    SystemsManager,
)

pytestmark = pytest.mark.needs(Capability.FRESH_INSTANCE, Capability.SYSTEMS_MANAGER)

API = "AWS Systems Manager API Reference and botocore's model of it"
NOTES = "tsyrulb/EphemeralML, commit 3d4b65d"
SHOWN = 24_000
"""Characters of GetCommandInvocation's StandardOutputContent."""
LISTED = 2_500
"""Characters of ListCommandInvocations' Output."""
CHUNK = 3_000
"""Characters of base64 in one line, as the notes sent them."""
LINES_OF_A_COMMAND = 16
"""So that a document stays below 48 KB."""
NOTES_SCRIPT_BYTES = 10_965

PIECE = 20_000
DIAGNOSIS = """\
set -eu
echo '== build_enclave'
echo '== build_kms_proxy_host'
awk 'BEGIN { for (n = 0; n < 1000; n++) printf "   Compiling crate-%04d v1.0.0\\n", n }'
echo '== run_enclave'
echo 'DONE rc=0'
"""
"""The notes' script in short: a build says more than anybody will be shown."""
COMPILING = "".join(f"   Compiling crate-{number:04d} v1.0.0\n" for number in range(1000))
SAID = f"== build_enclave\n== build_kms_proxy_host\n{COMPILING}== run_enclave\nDONE rc=0\n"
"""All that it says."""


def sent(manager: SystemsManager, *commands: str, timeout: int | None = None) -> str:
    """Send lines that must be accepted: the command's id."""
    answer = manager.send(commands, execution_timeout=timeout)
    assert isinstance(answer, str), answer
    return answer


def ran(manager: SystemsManager, *commands: str) -> Invocation:
    """Send lines, and what came of them."""
    return manager.invocation(sent(manager, *commands))


def succeeded(invocation: Invocation) -> str:
    """The output of a command that must have succeeded."""
    assert (invocation.status, invocation.response_code) == ("Success", 0), invocation
    return invocation.stdout


def grown(length: int) -> str:
    """A script of that many bytes, mostly comment, whose last line says that it was reached."""
    end = "\necho reached the end\n"
    return f"#{'x' * (length - 1 - len(end))}{end}"


def in_groups(lines: Iterable[str], most: int) -> Iterator[list[str]]:
    """The lines, at most so many together."""
    left = list(lines)
    while left:
        yield left[:most]
        left = left[most:]


def deliver(manager: SystemsManager, script: str, path: str) -> None:
    """The way around every limit: base64, a chunk in a line, as many commands as it takes."""
    text = base64.b64encode(script.encode()).decode()
    chunks = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    succeeded(ran(manager, f"rm -f {path}.b64"))
    for group in in_groups(chunks, LINES_OF_A_COMMAND):
        succeeded(ran(manager, "set -eu", *(f"printf %s {one} >> {path}.b64" for one in group)))
    succeeded(ran(manager, f"base64 -d {path}.b64 > {path}"))


@pytest.mark.documented(f"{API}: StandardOutputContent has the first 24,000 characters")
def test_bug_5_output_is_cut_and_the_script_had_finished(fresh: FreshInstance) -> None:
    """A script that prints much seems to have ended in its middle, and has finished.

    GetCommandInvocation gives the first 24,000 characters. Status and exit code are those of the
    whole script. What tells is a last line that is not there.
    """
    whole = succeeded(ran(fresh.systems_manager, "echo short", "echo 'DONE rc=0'"))
    assert whole.splitlines()[-1] == "DONE rc=0"

    cut = succeeded(ran(fresh.systems_manager, DIAGNOSIS))
    assert len(cut) <= SHOWN < len(SAID)
    assert "== build_kms_proxy_host" in cut
    assert "== run_enclave" not in cut
    assert "DONE" not in cut


@pytest.mark.inferred(f"{API}: Output has 2,500; marks: amazon-ssm-agent, its sources")
def test_bug_5_listed_output_is_cut_much_earlier(fresh: FreshInstance) -> None:
    """ListCommandInvocations shows 2,500 characters of the same output, the last a mark.

    So the notes' script seemed to end at build_kms_proxy_host. Output of less is shown whole. What
    GetCommandInvocation has cut ends with a mark of its own.
    """
    manager = fresh.systems_manager
    command = sent(manager, DIAGNOSIS)
    assert succeeded(manager.invocation(command)).endswith("--output truncated--")
    cut = manager.listed_output(command)
    assert len(cut) <= LISTED
    assert cut.endswith("\n---Output truncated---")
    assert "== build_kms_proxy_host" in cut
    assert "== run_enclave" not in cut

    command = sent(manager, "echo '== run_enclave'", "echo 'DONE rc=0'")
    succeeded(manager.invocation(command))
    assert manager.listed_output(command) == "== run_enclave\nDONE rc=0\n"


@pytest.mark.inferred(f"{API}: limits and statuses; that a script may do so follows")
def test_bug_5_a_log_is_fetched_whole(fresh: FreshInstance) -> None:
    """What a script writes into a file comes whole, in pieces that are each shown whole.

    A script that has died is told from one whose output is cut by status and exit code.
    """
    manager = fresh.systems_manager
    log = f"{succeeded_in(fresh, 'pwd')}/diagnosis.log"
    script = f"( {DIAGNOSIS} ) > {log} 2>&1; code=$?; wc -c < {log}; echo DONE rc=$code; exit $code"
    size, last = succeeded(ran(manager, script)).split(maxsplit=1)
    assert last.rstrip() == "DONE rc=0"
    pieces = [
        succeeded(ran(manager, f"tail -c +{start + 1} {log} | head -c {PIECE}"))
        for start in range(0, int(size), PIECE)
    ]
    assert "".join(pieces) == SAID

    died = ran(manager, script.replace("echo '== run_enclave'", "exit 3"))
    assert (died.status, died.response_code) == ("Failed", 3)
    assert died.stdout.splitlines()[-1] == "DONE rc=3"


def succeeded_in(instance: FreshInstance, script: str) -> str:
    """The line that a script prints in the instance's shell."""
    finished = instance.shell(script)
    assert finished.exit_code == 0, finished
    return finished.stdout.rstrip("\n")


@pytest.mark.documented(f"{API}: MaxDocumentSizeExceeded, 64 KB with parameters at runtime")
def test_bug_5_a_document_over_64_kb_is_refused(fresh: FreshInstance) -> None:
    """A script of 70,000 bytes as parameter is refused, and nothing runs; it is not cut.

    The notes' script, which had 10,965 bytes, arrives as it is, to its last line.
    """
    manager = fresh.systems_manager
    refused = manager.send([grown(70_000)])
    assert isinstance(refused, ServiceRefusal), refused
    assert refused.code == "MaxDocumentSizeExceeded"
    assert succeeded(ran(manager, grown(NOTES_SCRIPT_BYTES))) == "reached the end\n"


@pytest.mark.inferred(f"{NOTES}, which sent 10,965 bytes so; {API}")
def test_bug_5_chunks_arrive_whole(fresh: FreshInstance) -> None:
    """A script of 200,000 bytes arrives in chunks of base64, and runs to its last line.

    Each command stays below the limit; the checksum says that no chunk was lost or came twice.
    """
    manager = fresh.systems_manager
    script = grown(200_000)
    path = f"{succeeded_in(fresh, 'pwd')}/long.sh"
    deliver(manager, script, path)
    digest = succeeded(ran(manager, f"sha256sum {path}")).split()[0]
    assert digest == hashlib.sha256(script.encode()).hexdigest()
    assert succeeded(ran(manager, f"bash {path}")) == "reached the end\n"


@pytest.mark.inferred("aws-nitro-enclaves-cli 1.4.4, its sources; field notes, bug 3")
def test_bug_3_systems_manager_gives_no_home(fresh: FreshInstance) -> None:
    """The build that works in a login shell is E51 by Systems Manager, which sets no HOME.

    The exit code of nitro-cli is the command's. NITRO_CLI_ARTIFACTS mends it, or HOME.
    """
    install = "dnf install -y aws-nitro-enclaves-cli aws-nitro-enclaves-cli-devel"
    succeeded_in(fresh, f"{install} && systemctl enable --now docker")
    folder = shlex.quote(succeeded_in(fresh, "pwd"))
    build = f"nitro-cli build-enclave --docker-uri hello --docker-dir {folder}/hello --output-file"
    succeeded_in(fresh, f"{build} {folder}/login.eif")

    manager = fresh.systems_manager
    assert succeeded(ran(manager, 'echo "${HOME-none}"')) == "none\n"
    failed = ran(manager, f"{build} {folder}/sent.eif")
    assert (failed.status, failed.response_code) == ("Failed", 51), failed
    assert "[ E51 ]" in failed.stderr

    for mend in (f"NITRO_CLI_ARTIFACTS={folder}/artifacts", f"HOME={folder}"):
        mended = ran(manager, f"export {mend}", f"{build} {folder}/sent.eif")
        assert "PCR0" in json.loads(succeeded(mended))["Measurements"]
