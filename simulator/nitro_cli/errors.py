"""The errors of nitro-cli: their numbers, and the texts that a user reads.

One row per code, in the order of its enumeration; a row's number is the exit code. `{}` takes the
next of a failure's infos, or MISSING_INFO. A text's slips of the pen are the real one's.

Source: aws-nitro-enclaves-cli v1.4.4, src/common/document_errors.rs (v1.5.0 has the same), read
and not run: `inferred`. `[ E29 ]`, the pair with E39 and the backtrace of it are also in public
transcripts (issues #433, #516, #644 of that repository): `reported`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from simulator.nitro_cli.failure import Failure

_MISSING = "MISSING_INFO"
_HELP = "https://docs.aws.amazon.com/enclaves/latest/user/cli-errors.html"


class Error(NamedTuple):
    """A kind of failure."""

    code: str
    name: str
    """That of the enumeration."""
    text: str

    @property
    def exit_code(self) -> int:
        """What the process ends with."""
        return int(self.code[1:])

    @property
    def help_link(self) -> str:
        """Where AWS documents it."""
        return f"{_HELP}#{self.code}"

    def message(self, infos: Sequence[str]) -> str:
        """The first part of what is printed; further lines of it where the infos fill them."""
        text, addition = self.text, ""
        if self.code == "E26" and len(infos) < _WITH_MINIMUM:
            text = _NO_MEMORY
        if self.code == "E19" and len(infos) >= _WITH_FILE:
            addition = _FILE
        return f"[ {self.code} ] {_filled(text + addition, infos)}"


_WITH_FILE = 2
_FILE = "\nFile: '{}', failing operation: '{}'."
_WITH_MINIMUM = 3
_NO_MEMORY = (
    "Insufficient memory requested. User provided `{}` is {} MB, and memory should be greater "
    "than 0 MB."
)

_ERRORS = (
    Error(
        "E00",
        "UnspecifiedError",
        "Unspecified error. This is used as a catch-all error and should not be used in the code.",
    ),
    Error(
        "E01",
        "MissingArgument",
        "Missing mandatory argument. User did not provide the `{}` argument.",
    ),
    Error("E02", "ConflictingArgument", "Conflicting arguments. User provided both `{}` and `{}`."),
    Error(
        "E03",
        "InvalidArgument",
        "Invalid argument provided. The parameter `{}` is not a valid integer (`{}`)",
    ),
    Error(
        "E04",
        "SocketPairCreationFailure",
        "Socket pair creation failure. Such error appears when the Nitro CLI process attempts "
        "to open a stream pair in order to send a command to the enclave process but the stream"
        " initialization fails.",
    ),
    Error(
        "E05",
        "ProcessSpawnFailure",
        "Process spawn failure. Such error appears when the main Nitro CLI process fails to "
        "spawn the enclave process, in order to complete a `run-enclave` command.",
    ),
    Error(
        "E06",
        "DaemonizeProcessFailure",
        "Daemonize process failure. Such error appears when the system fails to daemonize a "
        "newly spawned enclave process.",
    ),
    Error(
        "E07",
        "ReadFromDiskFailure",
        "Read from disk failure. Such error appears when the Nitro CLI process fails to read "
        "the content of the enclave sockets directory (usually '/run/nitro_enclaves/') in order"
        " to perform a `describe-enclave` operation. Check that the directory exists and it has"
        " proper permissions, or run the Nitro Enclaves configuration script in order to "
        "(re)configure the environment.",
    ),
    Error(
        "E08",
        "UnusableConnectionError",
        "Unusable connection error. Such error appears when the Nitro CLI process attempts to "
        "open a connection to a non-existing or previously closed enclave descriptor",
    ),
    Error(
        "E09",
        "SocketCloseError",
        "Socket close error. Such error appears when the system fails to successfully close a "
        "communication channel.",
    ),
    Error(
        "E10",
        "SocketConnectTimeoutError",
        "Socket connect set timeout error. Such error appears when the system fails to "
        "configure a specific timeout for a given socket. May arise when trying to connect to "
        "an enclave's console.",
    ),
    Error(
        "E11",
        "SocketError",
        "Socket error. This is used as an error for catching any other socket operation errors "
        "not covered by previous custom errors.",
    ),
    Error(
        "E12",
        "EpollError",
        "Epoll error. Such error appears, for instance, when the system fails to register a "
        "specific enclave descriptor with epoll in order to monitor events for it.",
    ),
    Error(
        "E13",
        "InotifyError",
        "Inotify error. Such error appears when the system fails to configure a socket for "
        "monitorization.",
    ),
    Error(
        "E14",
        "InvalidCommand",
        "Invalid command. Such error appears when an unknown command and / or unknown arguments"
        " are sent through a socket.",
    ),
    Error(
        "E15",
        "LockAcquireFailure",
        "Lock acquire failure. Such error appears when the system fails to obtain the lock for "
        "an object with concurrent access, such as a structure containing information about a "
        "running enclave.",
    ),
    Error(
        "E16",
        "ThreadJoinFailure",
        "Thread join failure. Such error appears when the system fails to successfully join a "
        "thread, after it finished executing.",
    ),
    Error(
        "E17",
        "SerdeError",
        "Serde error. Such error appears when serializing / deserializing a command or response"
        " fails.",
    ),
    Error(
        "E18",
        "FilePermissionsError",
        "File permissions error. Such error appears when a user other than the owner of the "
        "logging file (usually '/var/log/nitro_enclaves/nitro_enclaves.log') attempts to change"
        " the file permissions",
    ),
    Error(
        "E19",
        "FileOperationFailure",
        "File operation failure. Such error appears when the system fails to perform the "
        "requested file operations, such as opening the EIF file when launching an enclave, or "
        "seeking to a specific offset in the EIF file, or writing to the log file.",
    ),
    Error(
        "E20",
        "InvalidCpuConfiguration",
        "Invalid CPU configuration. User provided `{}` contains same CPU(s) (CPU(s) {}) "
        "multiple times.",
    ),
    Error(
        "E21",
        "NoSuchCpuAvailableInPool",
        "No such CPU available in the pool. User provided `{}` contains CPU {}, which is not "
        "available in the pool.\n"
        "You can add a specific CPU to the CPU pool by editing the `cpu_pool` value from "
        "'/etc/nitro_enclaves/allocator.yaml' and then enable the "
        "nitro-enclaves-allocator.service.",
    ),
    Error(
        "E22",
        "InsufficientCpus",
        "Insufficient CPUs available in the pool. User provided `{}` is {}, which is more than "
        "the configured CPU pool size.\n"
        "You can increase the CPU pool size by editing the `cpu_count` value from "
        "'/etc/nitro_enclaves/allocator.yaml' and then enable the "
        "nitro-enclaves-allocator.service.",
    ),
    Error(
        "E23",
        "MalformedCpuId",
        "Malformed CPU ID error. Such error appears when a `lscpu` line is malformed and "
        "reports an invalid online CPUs list.",
    ),
    Error(
        "E24",
        "CpuError",
        "CPU error. Such error appears when a CPU line interval is invalid (for instance, 0-3-7)",
    ),
    Error(
        "E25",
        "NoSuchHugepageFlag",
        "No such hugepage flag error. Such error appears when the enclave process attempts to "
        "use an invalid hugepage size (size other than the known hugepage sizes) for "
        "initializing the enclave memory.",
    ),
    Error(
        "E26",
        "InsufficientMemoryRequested",
        "Insufficient memory requested. User provided `{}` is {} MB, but based on the EIF file "
        "size, the minimum memory should be {} MB",
    ),
    Error(
        "E27",
        "InsufficientMemoryAvailable",
        "Insufficient memory available. User provided `{}` is {} MB, which is more than the "
        "available hugepage memory.\n"
        "You can increase the available memory by editing the `memory_mib` value from "
        "'/etc/nitro_enclaves/allocator.yaml' and then restart the "
        "nitro-enclaves-allocator.service.",
    ),
    Error(
        "E28",
        "InvalidEnclaveFd",
        "Invalid enclave descriptor. Such error appears when the NE_CREATE_VM ioctl returns "
        "with an error.",
    ),
    Error(
        "E29",
        "IoctlFailure",
        "Ioctl failure. Such error is used as a general ioctl error and appears whenever an "
        "ioctl fails. In this case, the error backtrace provides detailed information on what "
        "specifically failed during the ioctl.",
    ),
    Error(
        "E30",
        "IoctlImageLoadInfoFailure",
        "Ioctl image get load info failure. Such error appears when the ioctl used for getting "
        "the memory load information fails. In this case, the error backtrace provides detailed"
        " information on what specifically failed during the ioctl.",
    ),
    Error(
        "E31",
        "IoctlSetMemoryRegionFailure",
        "Ioctl set memory region failure. Such error appears when the ioctl used for setting a "
        "given memory region fails. In this case, the error backtrace provides detailed "
        "information on what specifically failed during the ioctl.",
    ),
    Error(
        "E32",
        "IoctlAddVcpuFailure",
        "Ioctl add vCPU failure. Such error appears when the ioctl used for adding a vCPU "
        "fails. In this case, the error backtrace provides detailed information on what "
        "specifically failed during the ioctl.",
    ),
    Error(
        "E33",
        "IoctlEnclaveStartFailure",
        "Ioctl start enclave failure. Such error appears when the ioctl used for starting an "
        "enclave fails. In this case, the error backtrace provides details information on what "
        "specifically failed during the ioctl.",
    ),
    Error(
        "E34",
        "MemoryOverflow",
        "Memory overflow. Such error may appear during loading the EIF in the memory regions "
        "which will be conceded to the future enclave, if the regions offset plus the EIF file "
        "size exceeds the maximum address of the target platform.",
    ),
    Error(
        "E35",
        "EifParsingError",
        "EIF file parsing error. Such errors appear when attempting to fill a memory region "
        "with a section of the EIF file, but reading the entire section fails. This might "
        "indicate that the required hugepages are not available.",
    ),
    Error(
        "E36",
        "EnclaveBootFailure",
        "Enclave boot failure. Such error appears when attempting to receive the `ready` signal"
        " from a freshly booted enclave. It arises in several contexts, for instance, when the "
        "enclave is booted from an invalid EIF file and the enclave process immediately exits, "
        "failing to submit the `ready` signal. In this case, the error backtrace provides "
        "detailed information on what specifically failed during the enclave boot process.",
    ),
    Error(
        "E37",
        "EnclaveEventWaitError",
        "Enclave event wait error. Such error appears when monitoring an enclave descriptor for"
        " events fails.",
    ),
    Error(
        "E38",
        "EnclaveProcessCommandNotExecuted",
        "Enclave process command not executed error. Such error appears when at least one "
        "enclave fails to provide the description information.",
    ),
    Error(
        "E39",
        "EnclaveProcessConnectionFailure",
        "Enclave process connection failure. Such error appears when the enclave manager fails "
        "to connect to at least one enclave process for retrieving the description information.",
    ),
    Error(
        "E40",
        "SocketPathNotFound",
        "Socket path not found. Such error appears when the Nitro CLI process fails to build "
        "the corresponding socket path starting from a given enclave ID.",
    ),
    Error(
        "E41",
        "EnclaveProcessSendReplyFailure",
        "Enclave process send reply failure. Such error appears when the enclave process fails "
        "to submit the status code to the Nitro CLI process after performing a run / describe /"
        " terminate command.",
    ),
    Error(
        "E42",
        "EnclaveMmapError",
        "Enclave mmap error. Such error appears when allocating the enclave memory fails.",
    ),
    Error(
        "E43",
        "EnclaveMunmapError",
        "Enclave munmap error. Such error appears when unmapping the enclave memory fails.",
    ),
    Error(
        "E44",
        "EnclaveConsoleConnectionFailure",
        "Enclave console connection failure. Such error appears when the Nitro CLI process "
        "fails to establish a connection to a running enclave's console.",
    ),
    Error(
        "E45",
        "EnclaveConsoleReadError",
        "Enclave console read error. Such error appears when reading from a running enclave's "
        "console fails.",
    ),
    Error(
        "E46",
        "EnclaveConsoleWriteOutputError",
        "Enclave console write output error. Such error appears when writing the information "
        "retrieved from a running enclave's console (to a given stream) fails.",
    ),
    Error(
        "E47",
        "IntegerParsingError",
        "Integer parsing error. Such error appears when trying to connect to a running "
        "enclave's console, but the enclave CID cannot be parsed correctly.",
    ),
    Error(
        "E48",
        "EifBuildingError",
        "EIF building error. Such error appears when trying to build an EIF file. In this case,"
        " the error backtrace provides detailed information on the failure reason.",
    ),
    Error(
        "E49",
        "DockerImageBuildError",
        "Docker image build error. Such error appears when trying to build and EIF file, but "
        "building the corresponding docker image fails. In this case, the error backtrace "
        "provides detailed information on the failure reason.",
    ),
    Error(
        "E50",
        "DockerImagePullError",
        "Docker image pull error. Such error appears when trying to build an EIF file, but "
        "pulling the corresponding docker image fails. In this case, the error backtrace "
        "provides detailed informatino on the failure reason.",
    ),
    Error(
        "E51",
        "ArtifactsPathNotSet",
        "Artifacts path environment variable not set. Such error appears when trying to build "
        "an EIF file, but the artifacts path environment variable is not set.",
    ),
    Error(
        "E52",
        "BlobsPathNotSet",
        "Blobs path environment variable not set. Such error appears when trying to build an "
        "EIF file, but the blobs path environment variable is not set.",
    ),
    Error(
        "E53",
        "ClockSkewError",
        "Clock skew error. Such error appears when continuously reading from a running "
        "enclave's console, but measuring the time elapsed between consecutive reads failed.",
    ),
    Error(
        "E54",
        "SignalMaskingError",
        "Signal masking error. Such error appears if attempting to mask specific signals before"
        " creating an enclave process fails.",
    ),
    Error(
        "E55",
        "SignalUnmaskingError",
        "Signal unmasking error. Such error appears if attempting to unmask specific signals "
        "after creating an enclave process fails.",
    ),
    Error(
        "E56",
        "LoggerError",
        "Logger error. Such error appears when attempting to initialize the underlying logging "
        "system fails.",
    ),
    Error(
        "E57",
        "HasherError",
        "Hasher error. Such error appears when trying to initialize a hasher or write bytes to "
        "it, resulting in a IO error.",
    ),
    Error(
        "E58",
        "EnclaveNamingError",
        "Naming error. Such error appears when trying to perform an enclave operation using the"
        " enclave name and the name is invalid.",
    ),
    Error(
        "E59",
        "EIFSignatureCheckerError",
        "EIF signature checker error. Such error appears when validation of the signing "
        "certificate fails.",
    ),
    Error(
        "E60",
        "EIFSigningError",
        "Signing error. Such error appears if incorrect key or certificate paths are provided, "
        "or when AWS credenrials need to be refreshed to use a KMS key.",
    ),
)

ERRORS = {error.code: error for error in _ERRORS}
"""By code."""


def _filled(text: str, infos: Sequence[str]) -> str:
    """The text with the infos in its placeholders; an info's own braces are left alone."""
    first, *others = text.split("{}")
    values = [*infos, *[_MISSING] * len(others)]
    return first + "".join(value + part for value, part in zip(values, others, strict=False))


def backtrace(failure: Failure, version: str) -> str:
    """What an error log holds: the outermost subaction first."""
    subactions = "".join(f"\n    {subaction}" for subaction in reversed(failure.subactions))
    return (
        f"  Action: {failure.action}\n  Subactions:{subactions}\n"
        f"  Root error file: {failure.file}\n  Root error line: {failure.line}\n"
        f"  Version: {version}"
    )


def message(failure: Failure, *, shown_backtrace: str | None, log: str | None) -> str:
    """What is printed for a failure; `log` is the path of its error log, if it could be written."""
    error = ERRORS[failure.code]
    parts = [
        error.message(failure.infos),
        f"For more details, please visit {error.help_link}",
    ]
    if shown_backtrace is not None:
        parts.append(f"Backtrace:\n{shown_backtrace}")
    if log is not None:
        parts.append(f'If you open a support ticket, please provide the error log found at "{log}"')
    return "\n\n".join(parts)
