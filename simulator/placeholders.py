"""The files that stand in the place of nitro-cli's blobs: short texts that say what they are.

Standard library only: a machine is made with them before anything of an image is read.
"""

from __future__ import annotations

MARK = b"attested-kms placeholder: "
"""What each of them begins with, but for the command line, which is nitro-cli's own."""

KERNEL_NAMES = {"amd64": "bzImage", "arm64": "Image"}

_COMMAND_LINES = {
    "amd64": (
        "reboot=k panic=30 pci=off nomodules console=ttyS0 i8042.noaux i8042.nomux i8042.nopnp "
        "i8042.dumbkbd random.trust_cpu=on"
    ),
    "arm64": (
        "reboot=k panic=30 pci=off nomodules console=ttyS0 random.trust_cpu=on root=/dev/ram0"
    ),
}
"""Those of nitro-cli 1.4.4 and 1.5.0, read in its package (inferred)."""

_KERNEL_CONFIG = (
    "#\n# {mark}the configuration of a kernel that is none\n"
    "# Linux/{machine} 4.14.256 Kernel Configuration\n"
)
_MACHINES = {"amd64": "x86_64", "arm64": "arm64"}


def placeholder_files(architecture: str) -> dict[str, bytes]:
    """The files of a folder that stands in the place of nitro-cli's blobs."""
    text = {
        KERNEL_NAMES[architecture]: "the kernel of an enclave; this one boots in the simulator",
        "init": "the program that an enclave boots into; the simulator has its own",
        "nsm.ko": "the driver of the Nitro Security Module; the simulator has its own",
        "linuxkit": "the program that makes ramdisks; the simulator makes them itself",
    }
    files = {name: MARK + what.encode() + b"\n" for name, what in text.items()}
    config = _KERNEL_CONFIG.format(mark=MARK.decode(), machine=_MACHINES[architecture])
    files[f"{KERNEL_NAMES[architecture]}.config"] = config.encode()
    files["cmdline"] = f"{_COMMAND_LINES[architecture]}\n".encode()
    return files
