"""`nitro-cli explain`: what an error means, in this project's own words.

The real command has a text per code, on standard error; for E57, E58, E59 and what is no code at
all it answers that there is none such, and ends with 0 all the same (v1.4.4,
src/common/document_errors.rs: `inferred`).
"""

from __future__ import annotations

from simulator.nitro_cli.command_line import Given
from simulator.nitro_cli.session import Session

_ALLOCATOR = "/etc/nitro_enclaves/allocator.yaml"

_EXPLAINED = {
    "E00": "No cause was given. Nitro CLI should never show this.",
    "E01": "An argument that the command cannot do without is missing; so are `cpu_count` and "
    "`cpu_ids` both, in a file given with `--config`.",
    "E02": "Two arguments exclude each other, such as a number of CPUs and a list of them. Leave "
    "one out.",
    "E03": "An argument is not the number that it must be: a CPU count or ID, a memory size "
    "(digits, then M, G, T or nothing), a timeout, or a CID that an enclave may have (4 and up).",
    "E04": "No pair of sockets could be made to talk to the new enclave process; descriptors may "
    "have run out.",
    "E05": "The process that would own the enclave could not be forked; processes or memory may "
    "have run out.",
    "E06": "The enclave process could not detach itself from the command that started it.",
    "E07": "The folder of the enclave processes' sockets, /run/nitro_enclaves, cannot be listed. "
    "It is made when the packages are installed, and at boot; look whether it is there and may be "
    "read.",
    "E08": "A connection was used that has been closed, or was never made.",
    "E09": "A connection could not be closed in good order.",
    "E10": "The time to wait for a connection, of the console for instance, could not be set.",
    "E11": "An operation on a socket failed. Most often no enclave has the ID that was given: it "
    "has ended, or never was.",
    "E12": "Waiting for events of several descriptors could not be set up, or failed.",
    "E13": "A file could not be watched.",
    "E14": "An enclave process was sent a command that it does not know.",
    "E15": "Another thread holds what this one needs, and gave up on it.",
    "E16": "A thread did not end as it should.",
    "E17": "A message or a file does not hold what it should. A file given with `--config` must "
    "be JSON with the members of run-enclave.",
    "E18": "The log file belongs to somebody else, so its permissions cannot be changed.",
    "E19": "A file cannot be opened, read, written or created; the message names it. For "
    "/dev/nitro_enclaves and ne_cpus: the driver is missing, because the instance was not "
    "launched with enclaves enabled. For the kernel's command line: the package "
    "aws-nitro-enclaves-cli-devel is not installed.",
    "E20": "A CPU is named twice in `--cpu-ids`.",
    "E21": "A CPU of `--cpu-ids` is not in the pool that the allocator set aside. The pool is "
    f"configured in {_ALLOCATOR}.",
    "E22": "More CPUs are asked for than the whole pool has, used or not. If the pool is empty, "
    f"the allocator service has not run. Its size is `cpu_count` in {_ALLOCATOR}.",
    "E23": "The list of CPUs in the pool cannot be read: an ID in it is no number.",
    "E24": "The list of CPUs in the pool cannot be read: a range in it has no two ends.",
    "E25": "A size of huge pages is none that the system knows.",
    "E26": "The enclave would get less memory than four times the size of its image file, or none.",
    "E27": "There are not enough free huge pages for the memory asked for. The allocator reserves "
    f"`memory_mib` of {_ALLOCATOR}; other enclaves may hold a part of it.",
    "E28": "The driver gave no descriptor for a new enclave.",
    "E29": "The driver refused a request. Which one, and why, is in the error log: no free CPU in "
    "the pool, half of a CPU core, less than 64 MiB, too many memory regions.",
    "E30": "The driver did not say where in its memory an image is to be loaded.",
    "E31": "The driver refused a region of memory for the enclave.",
    "E32": "The driver refused a CPU for the enclave.",
    "E33": "The driver refused to start the enclave.",
    "E34": "The image would not end within the addresses of this machine.",
    "E35": "The image file could not be read whole into the enclave's memory, or is none; huge "
    "pages that have vanished meanwhile show like this, too.",
    "E36": "The enclave was started and did not report that it has booted. Its memory may be too "
    "small to unpack the image; or another enclave was being started at the same moment.",
    "E37": "Waiting for events of the enclave failed.",
    "E38": "An enclave process answered that it could not do what it was told.",
    "E39": "An enclave process did not answer. After run-enclave the reason is the error that is "
    "printed before this one.",
    "E40": "An enclave's ID could not be turned into the path of its socket.",
    "E41": "An enclave process could not tell the command how it went.",
    "E42": "Memory for the enclave could not be mapped.",
    "E43": "Memory of the enclave could not be unmapped.",
    "E44": "There is no console to connect to: the enclave must have been started with "
    "`--debug-mode`.",
    "E45": "The console ended without a farewell. Most often the enclave has: its main process "
    "returned, or could not be started, and the kernel rebooted.",
    "E46": "What the console says could not be written on.",
    "E47": "An enclave has a CID that is no 32-bit number.",
    "E48": "The image file could not be built: an image without CMD and ENTRYPOINT, or a kernel, "
    "init or linuxkit that is missing in /usr/share/nitro_enclaves/blobs.",
    "E49": "Docker could not build the image from the folder given with `--docker-dir`.",
    "E50": "Docker has no such image and could not fetch it: its daemon may not run, the name may "
    "be wrong, or the registry wants a login.",
    "E51": "There is no folder to work in: neither HOME nor NITRO_CLI_ARTIFACTS is set. Services, "
    "cron jobs and commands over SSM have no HOME.",
    "E52": "There is no folder of kernel and init: NITRO_CLI_BLOBS.",
    "E53": "The clock went backwards while a console was read.",
    "E54": "Signals could not be blocked before the enclave process was made.",
    "E55": "Signals could not be let through again after the enclave process was made.",
    "E56": "Logging could not be set up.",
    "E60": "The image could not be signed: certificate or key cannot be read, do not belong "
    "together, or the credentials for a key in KMS have run out.",
}


def run(session: Session, given: Given) -> int:
    """Explain an error code."""
    code = given.text("error-code") or ""
    session.say(_EXPLAINED.get(code, f"No such error code {code}"))
    return 0
