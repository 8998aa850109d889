"""Explanations: what the console and the logs show of an enclave that does not stay.

Truth: init.c of aws-nitro-enclaves-sdk-bootstrap, which is PID 1 in an enclave.
"""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations.model import Cause, Claim, Explanation, Role

EXPLANATIONS = (
    Explanation(
        id="host.reboot",
        error="execvpe: ...: No such file or directory; reboot: Restarting system",
        texts=(
            "execvpe:",
            "child exited with error",
            "child exited by signal",
            "reboot: Restarting system",
            "reboot: machine restart",
            "Received hang-up event from the enclave",
        ),
        near=("enclave", "execvpe", "nitro", "child exited", "machine restart"),
        meaning="The enclave's main program could not start, or ended; its init then reboots, and "
        "the enclave is gone. run-enclave has succeeded by then: it waits for init, not for the "
        "program.",
        fix="Put program and arguments into CMD, with its full path, and let the program not end. "
        "attested-kms lint Dockerfile names what is wrong.",
        causes=(
            Cause(
                "ENTRYPOINT and CMD together: nitro-cli takes CMD and drops ENTRYPOINT",
                "execvpe names the first word of CMD, such as --mode",
            ),
            Cause(
                "A path that is not absolute (WORKDIR is ignored), or a program outside of /sbin, "
                "/usr/sbin, /bin and /usr/bin that is named without its path (PATH is ignored)",
                "execvpe names it as CMD has it",
            ),
            Cause(
                "The program is there and its interpreter is not: a dynamic program on scratch, "
                "musl against glibc, a script whose #! names a missing shell",
                "file and ldd, or attested-kms lint on the image",
            ),
            Cause("It may not be executed", "execvpe says Permission denied"),
            Cause(
                "The image is for another architecture",
                "execvpe says Exec format error; without a /bin/sh No such file or directory",
            ),
            Cause(
                "A script without #!: init gives it to /bin/sh, which may be missing",
                "head -1 of the file",
            ),
            Cause(
                "The program started and failed or was killed",
                "child exited with error (or by signal) and no execvpe",
            ),
            Cause(
                "The program did its work and returned, or put itself into the background",
                "no message but the reboot",
            ),
        ),
        field_note="1",
        correction="The notes say that /init must exec the program. Theirs did not: it kept "
        "running after the program. What helped was the right command, and an init that does "
        "not end.",
        claim=Claim(
            Evidence.REPORTED, "tsyrulb/EphemeralML, commits of 2026-01-26; sdk-bootstrap init.c"
        ),
    ),
    Explanation(
        id="host.unpacked-memory",
        error="Could not open /env file: No such file or directory; Kernel panic - not syncing: "
        "Attempted to kill init!",
        texts=(
            "Could not open /env file: No such file or directory",
            "Attempted to kill init! exitcode=0x0000000b",
        ),
        meaning="The enclave's memory is too small to unpack the image: nitro-cli asks for four "
        "times the size of the EIF, and the files are larger once unpacked.",
        fix="Run it with more --memory, and give the allocator as much (memory_mib).",
        claim=Claim(Evidence.REPORTED, "aws-nitro-enclaves-cli, issues 194, 196 and 668"),
    ),
    Explanation(
        id="host.console-read",
        error="[ E45 ] Enclave console read error.",
        texts=("Enclave console read error", "Failed to read data from the console: ENOTCONN"),
        code="E45",
        meaning="The enclave ended while its console was read. That is how a program that dies at "
        "once shows with --attach-console; what came before on the console says why.",
        fix="Read the console's last lines (execvpe, child exited), and describe-enclaves: [] "
        "means that it is gone.",
        causes=(
            Cause("The main program could not start, or ended", "execvpe or reboot on the console"),
            Cause("Somebody terminated the enclave", "nothing on the console"),
        ),
        field_note="1",
        role=Role.WRAPPER,
        claim=Claim(
            Evidence.REPORTED, "tsyrulb/EphemeralML, HANDOFF.md; aws-nitro-enclaves-cli utils.rs"
        ),
    ),
    Explanation(
        id="host.debug-measurements",
        error='"Flags": "DEBUG_MODE" in describe-enclaves, and KMS answers AccessDenied',
        texts=('"Flags": "DEBUG_MODE"',),
        meaning="describe-enclaves shows the measurements of the image file, also of an enclave in "
        "debug mode. Its attestation document has zeros in PCR0, PCR1 and PCR2, so a key policy "
        "with the shown values refuses it.",
        fix="Run it without --debug-mode and --attach-console. To test in debug mode use a key of "
        "its own whose policy names 48 zero bytes; never such a policy in production.",
        causes=(
            Cause("--debug-mode", "Flags is DEBUG_MODE"),
            Cause("--attach-console, which implies it", "Flags is DEBUG_MODE"),
        ),
        claim=Claim(
            Evidence.REPORTED,
            "aws-nitro-enclaves-cli, issue 695; documents of debug enclaves that others published",
        ),
    ),
)
