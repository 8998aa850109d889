"""The failures that an enclave's own process meets in run-enclave, by where the source has them.

aws-nitro-enclaves-cli v1.4.4, src/enclave_proc; the lines are the same in v1.5.0. `inferred`: read
and not run. Codes, files and lines are those of the `new_nitro_cli_failure!` that is reached.
"""

from __future__ import annotations

from simulator.nitro_cli.failure import Failure

RUN = "Run Enclave"
TERMINATE = "Terminate Enclave"

_COMMANDS = "src/enclave_proc/commands.rs"
_CPU_INFO = "src/enclave_proc/cpu_info.rs"
_MANAGER = "src/enclave_proc/resource_manager.rs"
_COMMUNICATION = "src/enclave_proc_comm.rs"

_CONSTRUCTED = (
    "Failed to create enclave handle",
    "Failed to construct EnclaveManager with given arguments",
)
_RUN = ("Failed to create enclave", "Failed to run enclave")
_DESCRIBE = ("Failed to execute command `Describe`",)
_MEMORY = ("Memory initialization issue", *_RUN)


class Refused(Exception):
    """The command fails as the real one would."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


def _refused(
    code: str, file: str, line: int, text: str, *passed: str, infos: tuple[str, ...] = ()
) -> Refused:
    failure = Failure(code=code, subactions=(text,), file=file, line=line, infos=infos)
    return Refused(failure.within(*passed))


def eif_not_opened(path: str, error: str) -> Refused:
    """The image cannot be opened."""
    text = f"Failed to open the EIF file: {error}"
    return _refused("E19", _COMMANDS, 53, text, infos=(path, "Open"))


def pool_not_opened(path: str, error: str) -> Refused:
    """There is no driver."""
    text = f"Failed to open CPU pool file: {error}"
    passed = "Failed to construct CPU information"
    return _refused("E19", _CPU_INFO, 43, text, passed, infos=(path, "Open"))


def bad_pool_cpu(error: str) -> Refused:
    """The pool's file names no CPU."""
    text = f"Failed to parse CPU ID: {error}"
    return _refused("E23", _CPU_INFO, 137, text, "Failed to construct CPU information")


def bad_pool_interval(interval: str) -> Refused:
    """The pool's file has an interval with more than two ends."""
    text = f"Invalid CPU ID interval ({interval})"
    return _refused("E24", _CPU_INFO, 161, text, "Failed to construct CPU information")


def duplicate_cpus(count: int, which: str) -> Refused:
    """A CPU is named twice."""
    return _refused(
        "E20",
        _CPU_INFO,
        102,
        f"CPU IDs list contains {count} duplicate(s)",
        "Failed to check whether CPU list is valid",
        "Failed to get CPU configuration",
        infos=("cpu-ids", which),
    )


def cpu_not_in_pool(cpu: int) -> Refused:
    """A CPU is not in the pool, used or not."""
    return _refused(
        "E21",
        _CPU_INFO,
        115,
        f"The CPU with ID {cpu} is not available in the NE CPU pool",
        "Failed to check whether CPU list is valid",
        "Failed to get CPU configuration",
        infos=("cpu-ids", str(cpu)),
    )


def too_many_cpus(wanted: int, most: int) -> Refused:
    """More CPUs than the whole pool has."""
    text = f"Insufficient CPUs available (requested {wanted}, but maximum is {most})"
    passed = "Failed to get CPU configuration"
    return _refused("E22", _CPU_INFO, 70, text, passed, infos=("cpu-count", str(wanted)))


def no_cpus_asked() -> Refused:
    """Neither a number of CPUs nor CPUs; nitro-cli does not let it come to that."""
    text = "Invalid CPU configuration argument"
    return _refused("E03", _CPU_INFO, 83, text, "Failed to get CPU configuration")


def below_four_times(memory_mib: int, least: int) -> Refused:
    """Less memory than four times the image's size."""
    return _refused(
        "E26",
        _MANAGER,
        488,
        f"At least {least} MB must be allocated (which is 4 times the EIF file size)",
        *_CONSTRUCTED,
        infos=("memory", str(memory_mib), str(least)),
    )


def device_not_opened(path: str, error: str) -> Refused:
    """There is no device of the driver."""
    text = f"Failed to open device file: {error}"
    return _refused("E19", _MANAGER, 510, text, *_CONSTRUCTED, infos=(path, "Open"))


def vm_not_created(error: str) -> Refused:
    """NE_CREATE_VM."""
    return _refused("E29", _MANAGER, 859, error, "Create VM ioctl failed", *_CONSTRUCTED)


def no_memory_asked() -> Refused:
    """`--memory 0` with an empty image."""
    return _refused(
        "E26",
        _MANAGER,
        332,
        "Cannot start an enclave with no memory",
        "Create resource allocator",
        *_CONSTRUCTED,
        infos=("memory", "0"),
    )


def signature_not_checked(error: str) -> Refused:
    """The image cannot be read as one."""
    return _refused("E59", _COMMANDS, 88, f"Failed to create EIF signature checker: {error}")


def signature_wrong(error: str) -> Refused:
    """The image's certificate or signature is not valid."""
    return _refused("E59", _COMMANDS, 97, f"Invalid signing certificate: {error}")


def memory_not_available(remaining_mib: int, wanted_mib: int) -> Refused:
    """Too few huge pages are free."""
    return _refused(
        "E27",
        _MANAGER,
        397,
        f"Failed to allocate entire memory ({remaining_mib} MB remained)",
        "Failed to allocate enclave memory",
        *_MEMORY,
        infos=("memory", str(wanted_mib)),
    )


def eif_not_read(error: str) -> Refused:
    """The image cannot be copied into the enclave's memory."""
    return _refused(
        "E35",
        _MANAGER,
        301,
        f"Error while reading from enclave image: {error}",
        "Failed to fill region with file content",
        "Write EIF to enclave memory regions",
        *_MEMORY,
    )


def region_not_set(error: str) -> Refused:
    """NE_SET_USER_MEMORY_REGION."""
    return _refused("E29", _MANAGER, 859, error, "Set user memory region ioctl failed", *_MEMORY)


def vcpu_not_added(error: str, cpu: int | None) -> Refused:
    """NE_ADD_VCPU, of a CPU that was asked for or of any."""
    named = () if cpu is None else (f"Failed to add CPU with ID {cpu}",)
    passed = ("Add vCPU ioctl failed", *named, "vCPUs initialization issue", *_RUN)
    return _refused("E29", _MANAGER, 859, error, *passed)


def heartbeat_not_bound() -> Refused:
    """Another enclave is about to boot: vsock address 3:9000 is taken."""
    text = "Enclave boot heartbeat vsock connection - vsock bind error"
    return _refused("E36", _MANAGER, 559, text, *_RUN)


def not_started(error: str) -> Refused:
    """NE_START_ENCLAVE."""
    passed = ("Start enclave ioctl failed", "Enclave start issue", *_RUN)
    return _refused("E29", _MANAGER, 859, error, *passed)


def no_heartbeat(error: str) -> Refused:
    """Nothing, or the wrong thing, came to 3:9000."""
    text = f"Waiting on enclave to boot failed with error {error}"
    return _refused("E36", _MANAGER, 594, text, *_RUN)


def image_not_described(error: str) -> Failure:
    """The thread that measures the image beside the boot has failed, which describe finds."""
    text = f"Failed initialize EIF reader: {error}"
    refused = _refused("E35", _COMMANDS, 108, text, "Failed to save PCR values", *_DESCRIBE)
    return refused.failure.within(action=RUN)


def metadata_not_shown(what: str) -> Failure:
    """Custom metadata that are no object are no members of the one that is shown."""
    text = (
        "Failed to display enclave describe data: "
        f'Error("can only flatten structs and maps (got {what})", line: 0, column: 0)'
    )
    refused = _refused("E17", _COMMANDS, 208, text, "Failed to describe enclave", *_DESCRIBE)
    return refused.failure.within(action=RUN)


def no_such_enclave(error: str) -> Refused:
    """No enclave's process has a socket of this name."""
    return _refused(
        "E11",
        _COMMUNICATION,
        134,
        f"Failed to connect to specific enclave process: {error}",
        "Failed to connect to enclave process",
    )
