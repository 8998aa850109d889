"""The known traps of an enclave's boot: one row each, in the order of the reference.

`docs/reference/lint-rules.md` is made from this table. A source is what shows that an enclave
behaves so or that people fell in; the evidence is that of the behaviour, not of this tool's reading
of an image.
"""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.lint import behaviour_rules as behaviour
from simulator.lint import command_rules as command
from simulator.lint import program_rules as program
from simulator.lint import setting_rules as setting
from simulator.lint.findings import Rule, Severity

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
_REPORTED, _INFERRED = Evidence.REPORTED, Evidence.INFERRED

_DOCKER_RS = "aws-nitro-enclaves-cli 1.4.4, enclave_build/src/docker.rs"
_INIT_C = "aws-nitro-enclaves-sdk-bootstrap, init/init.c"
_LINUX = "Linux, fs/exec.c, fs/binfmt_elf.c and fs/binfmt_script.c"

RULES: tuple[Rule, ...] = (
    Rule(
        "entrypoint-dropped",
        (_ERROR, _WARNING),
        "ENTRYPOINT and CMD together: the ENTRYPOINT is dropped",
        "nitro-cli takes CMD if there is one, and else ENTRYPOINT, and never joins them as Docker "
        "does. Arguments in CMD become the program. Bug 1 of the field notes.",
        "Put program and arguments into CMD, with the full path, and remove ENTRYPOINT; or all of "
        "it into ENTRYPOINT, without a CMD.",
        f"tsyrulb/EphemeralML, commits of 2026-01-26; {_DOCKER_RS}",
        _REPORTED,
        command.entrypoint_dropped,
    ),
    Rule(
        "no-command",
        (_ERROR,),
        "Neither CMD nor ENTRYPOINT",
        "nitro-cli build-enclave refuses the image: UnsupportedEntryPoint, E48.",
        "Give program and arguments in CMD, as a JSON list.",
        _DOCKER_RS,
        _INFERRED,
        command.no_command,
    ),
    Rule(
        "empty-command",
        (_ERROR, _WARNING),
        "An empty CMD",
        "Builders leave an empty CMD out (BuildKit) or keep it as an empty list. A kept one is "
        "taken before ENTRYPOINT, and init then runs its own default, sh.",
        "Remove the CMD instruction: an ENTRYPOINT clears the CMD of the base image by itself.",
        f"{_DOCKER_RS}; {_INIT_C}; moby's image specification (omitempty)",
        _INFERRED,
        command.empty_command,
    ),
    Rule(
        "not-a-list",
        (_ERROR,),
        "A list that is no JSON",
        "What is no JSON list is the shell form: the shell gets the brackets as the name of a "
        "program.",
        'Write the list with double quotes, ["/app", "--flag"].',
        "Dockerfile reference of Docker, shell and exec form",
        Evidence.DOCUMENTED,
        command.not_a_list,
    ),
    Rule(
        "inherited-command",
        (_WARNING,),
        "The base image's command runs",
        "An image without a CMD and an ENTRYPOINT of its own runs those of its base, often a "
        "shell.",
        "Set CMD in the last stage.",
        "Docker's official images, their configurations",
        _INFERRED,
        command.inherited_command,
    ),
    Rule(
        "argument-newline",
        (_ERROR, _WARNING),
        "A line break in an argument or a variable",
        "The command and the environment are handed over as text, one item on a line, and nothing "
        "is escaped.",
        "Move what has several lines into a file, and name the file.",
        f"{_DOCKER_RS} (write_config); {_INIT_C} (read_config)",
        _INFERRED,
        command.argument_newline,
    ),
    Rule(
        "relative-command",
        (_ERROR, _WARNING),
        "A relative path as the command",
        "WORKDIR is ignored: init starts the program in /.",
        "Give the full path.",
        "aws-nitro-enclaves-cli, issue 388",
        _REPORTED,
        command.relative_command,
    ),
    Rule(
        "not-in-path",
        (_ERROR, _WARNING),
        "A command that only PATH finds",
        "init looks in /sbin, /usr/sbin, /bin and /usr/bin, whatever PATH the image sets; the "
        "program itself gets the image's PATH.",
        "Give the full path, such as /usr/local/bin/python3.",
        f"{_INIT_C} (putenv before execvpe)",
        _INFERRED,
        command.not_in_path,
    ),
    Rule(
        "command-missing",
        (_ERROR,),
        "The command is not in the image",
        "execvpe fails, and init reboots.",
        "Copy the program to where CMD says, in the last stage of the Dockerfile.",
        _INIT_C,
        _INFERRED,
        command.command_missing,
    ),
    Rule(
        "command-hidden",
        (_ERROR,),
        "The command lies in /tmp, /run, /dev, /proc or /sys",
        "init mounts empty filesystems there before it starts the program; those on /tmp and /run "
        "also forbid to execute what is written there later.",
        "Put the program elsewhere, such as /usr/bin.",
        _INIT_C,
        _INFERRED,
        command.command_hidden,
    ),
    Rule(
        "shell-missing",
        (_ERROR,),
        "The shell form without a shell",
        "CMD without the brackets of a list is given to /bin/sh -c.",
        'Write a list: CMD ["/app", "--flag"].',
        f"Dockerfile reference of Docker; {_INIT_C}",
        _INFERRED,
        command.shell_missing,
    ),
    Rule(
        "not-executable",
        (_ERROR,),
        "The command may not be executed",
        "The kernel refuses a file without x in its mode (EACCES), for root too.",
        "RUN chmod 0755 FILE, or COPY --chmod=0755.",
        _LINUX,
        _INFERRED,
        command.not_executable,
    ),
    Rule(
        "interpreter-missing",
        (_ERROR, _WARNING),
        "The program's interpreter is missing",
        "A dynamic program needs its loader (glibc's on an image with musl, or any on scratch), a "
        "script the shell behind #!. The error names the program, which is there.",
        "Link it statically, or take a base image with the same libc; name an interpreter that the "
        "image has; save scripts with LF line ends.",
        _LINUX,
        _INFERRED,
        program.interpreter_missing,
    ),
    Rule(
        "no-program",
        (_ERROR, _WARNING),
        "The command is neither a program nor a script",
        "The kernel knows ELF and #! only. For everything else the init of nitro-cli 1.4.4 tries "
        "/bin/sh, which can run a script only; an init that is built with musl does not.",
        "Begin a script with #!/bin/sh.",
        f"{_LINUX}; glibc's execvpe, which nitro-cli's init is linked with",
        _INFERRED,
        program.no_program,
    ),
    Rule(
        "wrong-architecture",
        (_ERROR,),
        "The program is for another processor",
        "The kernel refuses it (ENOEXEC): enclaves have no emulation. Where the image has a "
        "/bin/sh that runs, init then lets that try it as a script, in vain.",
        "Build for the parent's architecture: docker build --platform linux/amd64 or linux/arm64.",
        _LINUX,
        _INFERRED,
        program.wrong_architecture,
    ),
    Rule(
        "library-missing",
        (_ERROR,),
        "A shared library is missing",
        "The loader ends the program with status 127 before its first line.",
        "Install the package that has the library, in the last stage.",
        "glibc's and musl's dynamic loaders",
        _INFERRED,
        program.library_missing,
    ),
    Rule(
        "ramdisk-incomplete",
        (_ERROR,),
        "The EIF lacks what init needs",
        "init ends where a mount fails or a file is missing, and the kernel panics. nitro-cli "
        "makes them all; other builders of EIFs must too.",
        "Put rootfs with dev, proc, run, sys and tmp in it, cmd and env into the application's "
        "ramdisk.",
        _INIT_C,
        _INFERRED,
        program.ramdisk_incomplete,
    ),
    Rule(
        "process-ends",
        (_WARNING,),
        "The main process ends",
        "An enclave lives as long as its first process. When that returns, with success too, or "
        "leaves its work to a process in the background, init reboots and says nothing.",
        "Keep the program in the foreground (nginx: daemon off), end a script with exec PROGRAM or "
        "wait, and let a one-off job wait for its caller.",
        f"tsyrulb/EphemeralML (an init that does not end); {_INIT_C}",
        _REPORTED,
        behaviour.exits,
    ),
    Rule(
        "reads-console",
        (_WARNING,),
        "The main process is a shell",
        "Nobody can type into an enclave: the console is for reading.",
        "Name the program that is to run.",
        _INIT_C,
        _INFERRED,
        behaviour.reads_console,
    ),
    Rule(
        "relative-argument",
        (_ERROR, _WARNING),
        "An interpreter is given a relative path",
        "WORKDIR is ignored, so that the file is looked for in /.",
        "Give the full path: /usr/local/bin/python3 /app/main.py.",
        "aws-nitro-enclaves-cli, issue 388",
        _REPORTED,
        behaviour.relative_argument,
    ),
    Rule(
        "output-elsewhere",
        (_WARNING,),
        "Output goes to a file or to syslog",
        "Only what is written to the console leaves an enclave, in debug mode; files are gone with "
        "it, and no syslog runs.",
        "Write to standard output or to /dev/console.",
        "tsyrulb/EphemeralML (no logs of the application)",
        _REPORTED,
        behaviour.output_elsewhere,
    ),
    Rule(
        "no-network",
        (_WARNING,),
        "The command uses an address of a network",
        "An enclave has no network device, and its loopback interface is down.",
        "Use vsock; for a program that needs loopback run ip link set lo up before it.",
        f"AWS Nitro Enclaves User Guide; {_INIT_C}",
        _INFERRED,
        behaviour.no_network,
    ),
    Rule(
        "no-ca-bundle",
        (_WARNING,),
        "No certificates of authorities",
        "TLS ends in the enclave, through vsock-proxy too, so that the client in it must know who "
        "signs KMS's certificate. Programs that bring their own are not concerned, and an image is "
        "passed over if no program or library in it speaks of TLS.",
        "Install ca-certificates in the last stage, or copy the bundle from another.",
        "Go's crypto/x509 and curl, where they look",
        _INFERRED,
        setting.no_ca_bundle,
    ),
    Rule(
        "user-ignored",
        (_WARNING,),
        "USER is ignored",
        "init starts the program as root; files that the user owns are still the user's.",
        "Remove USER, or drop the privileges in the program (setpriv, su-exec).",
        _DOCKER_RS,
        _INFERRED,
        setting.user_ignored,
    ),
    Rule(
        "workdir-ignored",
        (_INFO,),
        "WORKDIR is ignored",
        "init starts the program in /, so that relative paths are those of /.",
        "End the last stage with WORKDIR /, or change the directory in a script.",
        "aws-nitro-enclaves-cli, issue 388",
        _REPORTED,
        setting.working_directory_ignored,
    ),
    Rule(
        "setting-ignored",
        (_INFO,),
        "HEALTHCHECK, VOLUME, EXPOSE or STOPSIGNAL is ignored",
        "An enclave has no engine that looks after it, no volumes and no TCP ports, and is ended "
        "without a signal.",
        "Remove it; serve on a vsock port.",
        f"{_DOCKER_RS}; aws-nitro-enclaves-cli, issue 600",
        _INFERRED,
        setting.setting_ignored,
    ),
)

BY_ID = {rule.id: rule for rule in RULES}
