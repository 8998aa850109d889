"""The commands of nitro-cli and their options.

Source: aws-nitro-enclaves-cli v1.4.4, src/lib.rs (v1.5.0 has the same).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

NAME = "nitro-cli"
ABOUT = "CLI for enclave lifetime management"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of a command."""

    name: str
    """Without its dashes."""
    help: str
    value: str | None
    """What help calls the value; None for a flag."""
    many: bool = False
    """One option takes all the values that follow it."""
    required: bool = False
    required_unless: tuple[str, ...] = ()
    """Required where none of these is there."""
    conflicts: tuple[str, ...] = ()
    requires: str | None = None

    @property
    def shown(self) -> str:
        """As usage and messages have it."""
        if self.value is None:
            return f"--{self.name}"
        return f"--{self.name} <{self.value}>{'...' if self.many else ''}"


@dataclass(frozen=True, slots=True)
class Command:
    """A command and its options, in the order of help."""

    name: str
    about: str
    options: tuple[Option, ...]

    def option(self, name: str) -> Option | None:
        """That of the name."""
        return next((option for option in self.options if option.name == name), None)

    def conflicts(self, one: str, other: str) -> bool:
        """Whether either excludes the other."""
        return any(
            other_name in option.conflicts
            for name, other_name in ((one, other), (other, one))
            if (option := self.option(name)) is not None
        )


def _one(name: str, help: str, **rules: object) -> Option:  # noqa: A002  # As Option has it.
    return Option(name=name, help=help, value=name, **rules)  # type: ignore[arg-type]


_ENCLAVE_ID = "Enclave ID, used to uniquely identify an enclave"
_ENCLAVE_NAME = "Enclave name, used to uniquely identify an enclave"
_CERTIFICATE = Option(
    name="signing-certificate",
    value="signing-certificate",
    help="Local path to developer's X509 signing certificate.",
    requires="private-key",
)
_PRIVATE_KEY = Option(
    name="private-key",
    value="private-key",
    help="KMS key ARN or local path to developer's Eliptic Curve private key.",
    requires="signing-certificate",
)

_RUN = Command(
    "run-enclave",
    "Starts a new enclave",
    (
        Option(
            name="cpu-ids",
            value="cpu-ids",
            help="List of cpu-ids that will be provided to the enclave",
            many=True,
            required_unless=("cpu-count", "config"),
            conflicts=("cpu-count", "config"),
        ),
        _one(
            "cpu-count",
            "Number of cpus",
            required_unless=("cpu-ids", "config"),
            conflicts=("cpu-ids", "config"),
        ),
        _one(
            "memory",
            "Memory to allocate for the enclave in MB. Depending on the available pages, more "
            "might be allocated.",
            required_unless=("config",),
            conflicts=("config",),
        ),
        _one(
            "eif-path",
            "Path pointing to a prebuilt Eif image",
            required_unless=("config",),
            conflicts=("config",),
        ),
        _one(
            "enclave-cid",
            "CID to be used for the newly started enclave",
            conflicts=("config",),
        ),
        Option(
            name="debug-mode",
            value=None,
            help="Starts enclave in debug-mode. This makes the console of the enclave available "
            "over vsock at CID: VMADDR_CID_HYPERVISOR (0), port: enclave_cid + 10000. \n The "
            "stream could be accessed with the console sub-command",
            conflicts=("config",),
        ),
        Option(
            name="attach-console",
            value=None,
            help="Attach the enclave console immediately after starting the enclave. (implies "
            "debug-mode)",
        ),
        _one(
            "enclave-name",
            "Custom name assigned to the enclave by the user",
            conflicts=("config",),
        ),
        Option(
            name="config",
            value="json-config",
            help="Config is used to read enclave settings from JSON file",
        ),
    ),
)

_TERMINATE = Command(
    "terminate-enclave",
    "Terminates an enclave",
    (
        _one(
            "enclave-id",
            _ENCLAVE_ID,
            required_unless=("all", "enclave-name"),
            conflicts=("all", "enclave-name"),
        ),
        Option(
            name="all",
            value=None,
            help="Terminate all running enclave instances belonging to the current user",
            required_unless=("enclave-id", "enclave-name"),
            conflicts=("enclave-id", "enclave-name"),
        ),
        _one(
            "enclave-name",
            _ENCLAVE_NAME,
            required_unless=("enclave-id", "all"),
            conflicts=("enclave-id", "all"),
        ),
    ),
)

_BUILD = Command(
    "build-enclave",
    "Builds an enclave image and saves it to a file",
    (
        _one(
            "docker-uri",
            "Uri pointing to an existing docker container or to be created locally when "
            "docker-dir is present",
            required=True,
        ),
        _one("docker-dir", "Local path to a directory containing a Dockerfile"),
        _one("output-file", "Location where the Enclave Image should be saved", required=True),
        _CERTIFICATE,
        _PRIVATE_KEY,
        Option(name="name", value="image_name", help="Name for enclave image"),
        Option(name="version", value="image_version", help="Version of the enclave image"),
        _one("metadata", "Path to JSON containing the custom metadata provided by the user."),
    ),
)

COMMANDS = (
    _RUN,
    _TERMINATE,
    _BUILD,
    Command(
        "describe-eif",
        "Returns information about the EIF found at a given path.",
        (_one("eif-path", "Path to the EIF to describe.", required=True),),
    ),
    Command(
        "describe-enclaves",
        "Returns a list of the running enclaves",
        (
            Option(
                name="metadata",
                value=None,
                help="Adds EIF metadata of the current enclaves to the command output.",
            ),
        ),
    ),
    Command(
        "console",
        "Connect to the console of an enclave",
        (
            _one(
                "enclave-id",
                _ENCLAVE_ID,
                required_unless=("enclave-name",),
                conflicts=("enclave-name",),
            ),
            _one(
                "disconnect-timeout",
                "The time in seconds after the console disconnects from the enclave",
            ),
            _one(
                "enclave-name",
                _ENCLAVE_NAME,
                required_unless=("enclave-id",),
                conflicts=("enclave-id",),
            ),
        ),
    ),
    Command(
        "pcr",
        "Return the PCR hash value of the given input",
        (
            _one(
                "signing-certificate",
                "Takes the path to the '.pem' signing certificate and returns PCR8. Can be used to "
                "identify the certificate used to sign an EIF",
                required_unless=("input",),
                conflicts=("input",),
            ),
            _one(
                "input",
                "Given a path to a file, returns the PCR hash of the bytes it contains",
                required_unless=("signing-certificate",),
                conflicts=("signing-certificate",),
            ),
        ),
    ),
    Command(
        "explain",
        "Display detailed information about an error returned by a misbehaving Nitro CLI command",
        (
            _one(
                "error-code",
                "Error code, as returned by the misbehaving Nitro CLI command",
                required=True,
            ),
        ),
    ),
    Command(
        "sign-eif",
        "Sign EIF with the given key",
        (
            _one("eif-path", "Path pointing to a prebuilt Eif image"),
            _CERTIFICATE,
            _PRIVATE_KEY,
        ),
    ),
)

HELP_COMMAND = Command("help", "Print this message or the help of the given subcommand(s)", ())


def command(name: str) -> Command | None:
    """That of the name; `help` is none."""
    return next((command for command in COMMANDS if command.name == name), None)


def names() -> Iterator[str]:
    """Of all commands, in the order of help."""
    yield from (command.name for command in COMMANDS)
    yield HELP_COMMAND.name
