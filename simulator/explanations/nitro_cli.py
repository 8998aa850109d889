"""Explanations: what nitro-cli prints, by its error numbers.

Truth: the sources of aws-nitro-enclaves-cli 1.4.4, read and not run. Every failure of run-enclave
that its background process finds is printed with its own number, then as E39, which is the exit
code.
"""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations.model import Cause, Claim, Explanation, Role


def _read(place: str) -> Claim:
    return Claim(Evidence.INFERRED, f"aws-nitro-enclaves-cli 1.4.4, {place}")


_BACKTRACE = "BACKTRACE=1 nitro-cli ..., or the error log that the message names"

_BUILDING = (
    Explanation(
        id="host.artifacts-path",
        error="[ E51 ] Artifacts path environment variable not set.",
        texts=(
            "Artifacts path environment variable not set",
            "Could not find a folder for the CLI artifacts",
        ),
        code="E51",
        meaning="nitro-cli build-enclave has no folder to work in: neither HOME nor "
        "NITRO_CLI_ARTIFACTS is set.",
        fix="Set HOME, or NITRO_CLI_ARTIFACTS to a folder. Delete the empty .eif that the failed "
        "build left.",
        causes=(
            Cause("SSM, cron, cloud-init or systemd, which set no HOME", "env"),
            Cause(
                "If E19 on blobs//cmdline comes instead, the -devel package is missing: that is "
                "checked first, and hides this error until it is installed",
            ),
        ),
        field_note="3",
        claim=_read("src/lib.rs"),
    ),
    Explanation(
        id="host.blobs",
        error="[ E19 ] File operation failure. ... File: "
        "'/usr/share/nitro_enclaves/blobs//cmdline', failing operation: 'Open'.",
        texts=(
            "/usr/share/nitro_enclaves/blobs//cmdline",
            "Could not open kernel command line file",
        ),
        meaning="nitro-cli build-enclave finds no kernel: it is in a package of its own.",
        fix="dnf install -y aws-nitro-enclaves-cli-devel, or set NITRO_CLI_BLOBS to the folder.",
        causes=(
            Cause(
                "Only aws-nitro-enclaves-cli is installed",
                "rpm -q aws-nitro-enclaves-cli-devel",
            ),
            Cause(
                "dnf installed nothing, because one of the names does not exist",
                "Unable to find a match in its output",
            ),
        ),
        field_note="3",
        correction="It is checked before HOME: a script without both shows this first, and E51 "
        "only once the package is there.",
        claim=Claim(Evidence.REPORTED, "aws-nitro-enclaves-cli, issue 513; src/lib.rs"),
    ),
    Explanation(
        id="host.no-command",
        error="Docker error: UnsupportedEntryPoint",
        texts=("Docker error: UnsupportedEntryPoint",),
        meaning="The image has neither CMD nor ENTRYPOINT, so there is nothing to run (E48).",
        fix="Give program and arguments in CMD, as a JSON list with full paths.",
        claim=_read("enclave_build/src/docker.rs"),
    ),
    Explanation(
        id="host.blob-missing",
        error="Failed to create EIF image: LinuxkitPathError",
        texts=(
            "Failed to create EIF image: InitPathError",
            "Failed to create EIF image: NsmPathError",
            "Failed to create EIF image: KernelPathError",
            "Failed to create EIF image: LinuxkitPathError",
            "Could not generate build info",
        ),
        meaning="A file of aws-nitro-enclaves-cli-devel is missing from the folder of the blobs.",
        fix="Reinstall the package, or let NITRO_CLI_BLOBS name a complete folder (cmdline, init, "
        "nsm.ko, linuxkit, and bzImage or Image with its .config).",
        claim=_read("enclave_build/src/lib.rs"),
    ),
    Explanation(
        id="host.docker-pull",
        error="Docker error: PullError; [ E50 ] Docker image pull error.",
        texts=("Docker error: PullError", "Docker image pull error"),
        code="E50",
        meaning="The image is not on this machine, and could not be pulled.",
        fix="docker images must list exactly the name and tag of --docker-uri: build or load it "
        "first. Is Docker running, and may this user use it? The simulator needs no Docker: "
        "attested-kms machine load IMAGE --tag NAME, of a file of docker save, an OCI layout or a "
        "folder.",
        causes=(
            Cause("The image was built under another name or tag", "docker image inspect NAME"),
            Cause("The Docker daemon does not run: it shows as this error too", "docker ps"),
            Cause(
                "The user is not in the group docker",
                "docker ps says permission denied",
            ),
            Cause(
                "The registry wants credentials, or cannot be reached",
                "docker pull NAME; DOCKER_CONFIG must name the file, not its folder",
            ),
        ),
        claim=_read("enclave_build/src/docker.rs; that a stopped daemon shows so is inferred"),
    ),
    Explanation(
        id="host.docker-build",
        error="Docker error: BuildError; [ E49 ] Docker image build error.",
        texts=("Docker error: BuildError", "Docker image build error"),
        code="E49",
        meaning="Docker could not build the folder of --docker-dir.",
        fix="Run docker build -t NAME FOLDER yourself: it says why. Then leave --docker-dir out.",
        claim=_read("enclave_build/src/docker.rs"),
    ),
    Explanation(
        id="host.eif-building",
        error="[ E48 ] EIF building error.",
        texts=("EIF building error. Such error appears",),
        code="E48",
        meaning="build-enclave failed; the reason is in the line before it, or in the backtrace.",
        fix=f"Look at {_BACKTRACE}.",
        causes=(
            Cause("No CMD and no ENTRYPOINT", "Docker error: UnsupportedEntryPoint before it"),
            Cause("A blob is missing", "PathError in the backtrace"),
            Cause("The disk is full", "df -h"),
        ),
        role=Role.WRAPPER,
        claim=_read("src/lib.rs"),
    ),
    Explanation(
        id="host.signing",
        error="[ E60 ] Signing error.",
        texts=(
            "Signing error. Such error appears if incorrect key or certificate paths",
            "Failed to create EifSigner",
        ),
        code="E60",
        meaning="The certificate or the private key cannot be used to sign the image.",
        fix="Give both --signing-certificate and --private-key: PEM files that belong together.",
        claim=_read("src/lib.rs"),
    ),
)

_FILES = (
    Explanation(
        id="host.no-device",
        error="[ E19 ] File operation failure. ... File: '/dev/nitro_enclaves', failing operation: "
        "'Open'.",
        texts=(
            "/dev/nitro_enclaves', failing operation",
            "/sys/module/nitro_enclaves/parameters/ne_cpus', failing operation",
            "Failed to open device file",
            "Failed to open CPU pool file",
        ),
        meaning="The nitro_enclaves driver is not there, or this user may not open its device.",
        fix="Launch the instance with --enclave-options Enabled=true; add the user to the group "
        "ne, and log in again.",
        causes=(
            Cause(
                "The instance was launched without enclaves enabled",
                "aws ec2 describe-instances: EnclaveOptions.Enabled is false",
            ),
            Cause("The driver is not loaded", "lsmod | grep nitro_enclaves; modprobe"),
            Cause("The user is not in the group ne", "id; PermissionDenied in the backtrace"),
        ),
        claim=Claim(Evidence.REPORTED, "aws-nitro-enclaves-cli, issues 369 and 644"),
    ),
    Explanation(
        id="host.no-eif",
        error="[ E19 ] File operation failure. ... Failed to open the EIF file",
        texts=("Failed to open the EIF file", ".eif', failing operation: 'Open'"),
        meaning="run-enclave found no EIF at --eif-path.",
        fix="Give the path of a file that build-enclave wrote; an absolute one in scripts.",
        causes=(Cause("build-enclave failed, and the script went on", "set -e; its exit code"),),
        claim=_read("src/enclave_proc/commands.rs"),
    ),
    Explanation(
        id="host.file-operation",
        error="[ E19 ] File operation failure.",
        texts=("File operation failure. Such error appears",),
        code="E19",
        meaning="A file could not be opened, read or made; the next line names it.",
        fix="Look at the file that `File:` names.",
        causes=(
            Cause("blobs//cmdline: aws-nitro-enclaves-cli-devel is missing"),
            Cause("/dev/nitro_enclaves or ne_cpus: enclaves are not enabled, or no group ne"),
            Cause("The .eif: the build failed before, or another folder"),
            Cause("The log in /var/log/nitro_enclaves: no group ne"),
        ),
        role=Role.WRAPPER,
        claim=_read("src/common/document_errors.rs"),
    ),
    Explanation(
        id="host.sockets-folder",
        error="[ E07 ] Read from disk failure.",
        texts=("Read from disk failure. Such error appears", "Error while accessing sockets"),
        code="E07",
        meaning="/run/nitro_enclaves is missing or unreadable: nitro-cli keeps there how to reach "
        "the enclaves' processes.",
        fix="Make the folder, writable for the group ne, or let NITRO_CLI_SOCKETS_PATH name one.",
        causes=(
            Cause("nitro-cli was copied or built, not installed", "rpm -q aws-nitro-enclaves-cli"),
            Cause("/run is emptied at every boot, in a container at every start", "ls /run"),
        ),
        claim=_read("src/enclave_proc_comm.rs"),
    ),
)

_RUNNING = (
    Explanation(
        id="host.cid",
        error="[ E03 ] Invalid argument provided. The parameter `MISSING_INFO` is not a valid "
        "integer (`MISSING_INFO`)",
        texts=(
            "Invalid argument provided. The parameter",
            "is a well-known CID, not to be used for enclaves",
            "is the CID of the parent VM, not to be used for enclaves",
        ),
        code="E03",
        meaning="An argument of nitro-cli is refused. Where it says MISSING_INFO it is the CID: "
        "the message's holes were never filled.",
        fix="Give --enclave-cid 4 or more, below 4294967295, or leave it out.",
        causes=(
            Cause("CID 1, 2 or 4294967295, which have a meaning of their own"),
            Cause("CID 3, which is the parent instance"),
            Cause("Not a number", "the message names parameter and value"),
        ),
        claim=_read("src/common/commands_parser.rs"),
    ),
    Explanation(
        id="host.no-such-enclave",
        error="[ E11 ] Socket error.",
        texts=(
            "Socket error. This is used as an error for catching any other socket",
            "Failed to connect to specific enclave process",
        ),
        code="E11",
        meaning="Nobody answers for this enclave id: the enclave has ended, or never was.",
        fix="nitro-cli describe-enclaves lists those that run; [] means none.",
        causes=(
            Cause("Its program died, and the enclave with it", "attested-kms explain execvpe:"),
            Cause("It was terminated before, or the id is another instance's", "describe-enclaves"),
        ),
        claim=_read("src/enclave_proc_comm.rs"),
    ),
    Explanation(
        id="host.cpu-ids",
        error="[ E21 ] No such CPU available in the pool.",
        texts=("No such CPU available in the pool", "contains same CPU(s)"),
        code="E21",
        meaning="--cpu-ids names a CPU twice (E20), or one that the allocator did not take.",
        fix="cat /sys/module/nitro_enclaves/parameters/ne_cpus shows the pool; or use --cpu-count.",
        claim=_read("src/enclave_proc/cpu_info.rs"),
    ),
    Explanation(
        id="host.cpu-count",
        error="[ E22 ] Insufficient CPUs available in the pool.",
        texts=("Insufficient CPUs available in the pool",),
        code="E22",
        meaning="--cpu-count is more than the whole pool, running enclaves' CPUs included.",
        fix="Ask for fewer, or raise cpu_count in /etc/nitro_enclaves/allocator.yaml and restart "
        "nitro-enclaves-allocator.service.",
        causes=(
            Cause(
                "The allocator never ran, so that the pool is empty",
                "the backtrace says: maximum is 0; systemctl status nitro-enclaves-allocator",
            ),
            Cause("The pool is smaller", "cat /sys/module/nitro_enclaves/parameters/ne_cpus"),
        ),
        claim=_read("src/enclave_proc/cpu_info.rs"),
    ),
    Explanation(
        id="host.eif-memory",
        error="[ E26 ] Insufficient memory requested.",
        texts=("Insufficient memory requested",),
        code="E26",
        meaning="--memory must be four times the EIF's size or more, and not 0.",
        fix="Give --memory the minimum that the message names, and let memory_mib of the allocator "
        "hold it; or make the image smaller.",
        claim=_read("src/enclave_proc/resource_manager.rs"),
    ),
    Explanation(
        id="host.huge-pages",
        error="[ E27 ] Insufficient memory available.",
        texts=("Insufficient memory available", "Failed to allocate entire memory"),
        code="E27",
        meaning="There are not enough free huge pages for --memory.",
        fix="Raise memory_mib in /etc/nitro_enclaves/allocator.yaml and restart "
        "nitro-enclaves-allocator.service; or ask for less.",
        causes=(
            Cause("memory_mib is smaller than --memory", "grep Huge /proc/meminfo"),
            Cause("Another enclave holds the pages", "nitro-cli describe-enclaves"),
            Cause(
                "The allocator's memory is on another NUMA node, or was set back",
                "systemctl status nitro-enclaves-allocator",
            ),
        ),
        claim=_read("src/enclave_proc/resource_manager.rs"),
    ),
    Explanation(
        id="host.cpu-pool",
        error="[ E29 ] Ioctl failure. ... [ E39 ] Enclave process connection failure.",
        texts=(
            "E29 ] Ioctl failure",
            "Ioctl failure. Such error is used as a general ioctl error",
            "no CPUs are available in the pool",
            "full CPU cores have not been set",
            "The maximum number of memory regions per enclave has been reached",
            "memory size is lower than the minimum supported",
            "no vCPUs have been added",
        ),
        code="E29",
        meaning="The driver refused CPUs or memory, or the start; which of them is in the "
        "backtrace only.",
        fix="nitro-cli describe-enclaves, then nitro-cli terminate-enclave --enclave-id ID. If "
        f"none runs: {_BACKTRACE}.",
        causes=(
            Cause(
                "An enclave that still runs holds the CPUs. One is enough: a 4-vCPU instance such "
                "as m6i.xlarge has a pool of 2",
                "describe-enclaves; backtrace: no CPUs are available in the pool",
            ),
            Cause(
                "timeout, Ctrl-C or kill ended nitro-cli, not the enclave: it lives in a process "
                "of its own",
                "describe-enclaves",
            ),
            Cause(
                "An odd --cpu-count: cores are given whole",
                "backtrace: full CPU cores have not been set",
            ),
            Cause("Less than 64 MiB", "backtrace: lower than the minimum supported"),
            Cause(
                "Memory in too many small pieces",
                "backtrace: maximum number of memory regions",
            ),
        ),
        field_note="9",
        correction="The notes name stale enclaves. Theirs came from their own script, which ran "
        "nitro-cli under timeout 30: that ends the command and leaves the enclave.",
        claim=Claim(
            Evidence.REPORTED,
            "aws-nitro-enclaves-cli, issues 433, 516 and 644; that timeout leaves the enclave is "
            "inferred from src/enclave_proc/mod.rs",
        ),
    ),
    Explanation(
        id="host.eif-load",
        error="[ E35 ] EIF file parsing error.",
        texts=("EIF file parsing error",),
        code="E35",
        meaning="The EIF could not be read, or could not be copied into the enclave's memory.",
        fix="nitro-cli describe-eif --eif-path FILE: if that works, the huge pages went away; "
        "restart the allocator.",
        causes=(
            Cause(
                "Huge pages vanished between reserving and using them", "grep Huge /proc/meminfo"
            ),
            Cause("The file is cut off or no EIF", "attested-kms eif describe FILE"),
        ),
        claim=Claim(Evidence.REPORTED, "aws-nitro-enclaves-cli, issues 232 and 644"),
    ),
    Explanation(
        id="host.boot-failure",
        error="[ E36 ] Enclave boot failure.",
        texts=(
            "Enclave boot failure. Such error appears",
            "Enclave boot heartbeat vsock connection - vsock bind error",
            "Waiting on enclave to boot failed with error",
        ),
        code="E36",
        meaning="The enclave never said that it is up. That is init's heartbeat, sent before the "
        "program of the image starts: a program that dies does not give this error.",
        fix="Start one enclave after the other; give more --memory; look at the console in debug "
        "mode.",
        causes=(
            Cause(
                "Two run-enclave at once: both wait at vsock port 9000 of the parent, and the "
                "second cannot bind it",
                "backtrace: vsock bind error; it fails at once",
            ),
            Cause(
                "Kernel or init died before the heartbeat, often of too little memory",
                "it fails after minutes (180 s for a small image): VsockTimeoutError",
            ),
            Cause(
                "The EIF was built for another architecture, or not by nitro-cli", "describe-eif"
            ),
        ),
        claim=Claim(
            Evidence.REPORTED,
            "aws-nitro-enclaves-cli, issue 516; src/enclave_proc/resource_manager.rs",
        ),
    ),
    Explanation(
        id="host.empty-eif",
        error="[ E59 ] EIF signature checker error.",
        texts=(
            "EIF signature checker error",
            "Failed to create EIF signature checker",
            "Invalid signing certificate",
        ),
        code="E59",
        meaning="The EIF cannot be read, or the certificate that signed it is not valid.",
        fix="ls -l FILE; build the image again, and stop the script if the build fails.",
        causes=(
            Cause(
                "The file has 0 bytes: a build that failed with E51, E48, E49 or E50 leaves it so",
                "ls -l",
            ),
            Cause(
                "The signing certificate has expired, or is not yet valid", "openssl x509 -dates"
            ),
            Cause("The file is cut off", "attested-kms eif describe FILE"),
        ),
        claim=_read("src/enclave_proc/commands.rs; older versions gave E36, E39, E11 (issue 243)"),
    ),
    Explanation(
        id="host.enclave-process",
        error="[ E39 ] Enclave process connection failure.",
        texts=("Enclave process connection failure", "Failed connections: 1"),
        code="E39",
        meaning="The process that was to hold the enclave ended with an error. This is always the "
        "second message, and the exit code 39; the reason is the message before it.",
        fix="Read the error before it, most often E29: nitro-cli describe-enclaves, then nitro-cli "
        "terminate-enclave --enclave-id ID.",
        causes=(
            Cause("E29: an enclave that still runs holds the CPUs", "describe-enclaves"),
            Cause("E22, E26, E27: more CPUs or memory than there are"),
            Cause("E19: no such EIF, or no driver"),
            Cause("E36: no heartbeat, or two run-enclave at once"),
            Cause("E59: an empty EIF"),
        ),
        field_note="9",
        role=Role.WRAPPER,
        claim=Claim(
            Evidence.REPORTED,
            "aws-nitro-enclaves-cli, issues 433 and 516; src/enclave_proc_comm.rs",
        ),
    ),
    Explanation(
        id="host.console-mode",
        error="[ E44 ] Enclave console connection failure.",
        texts=(
            "Enclave console connection failure",
            "The enclave was not started with the debug flag set",
        ),
        code="E44",
        meaning="Only an enclave in debug mode has a console.",
        fix="Run it with --debug-mode (or --attach-console). Its PCR0, PCR1 and PCR2 are zeros "
        "then, so that a key policy on them refuses it.",
        causes=(
            Cause("No --debug-mode", "describe-enclaves: Flags is NONE"),
            Cause("The enclave ended before the console was opened", "describe-enclaves: []"),
        ),
        claim=_read("src/main.rs"),
    ),
    Explanation(
        id="host.enclave-name",
        error="[ E58 ] Naming error.",
        texts=(
            "Naming error. Such error appears when trying to perform an enclave operation",
            "No enclave matched the given name",
            "Conflicting enclave names have been found",
        ),
        code="E58",
        meaning="No enclave has this name, or several have it.",
        fix="nitro-cli describe-enclaves shows the names; a second one gets _1 added.",
        claim=_read("src/lib.rs"),
    ),
)

EXPLANATIONS = (*_BUILDING, *_FILES, *_RUNNING)
