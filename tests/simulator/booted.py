"""Small enclave images for tests that boot, made of this machine's shell and Python."""

from __future__ import annotations

import platform
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest

from nsm_fake.eif import identity, write_eif
from simulator.interpose.plan import Rung
from simulator.interpose.run import Handle
from simulator.machine.boot import Booted, boot
from simulator.machine.heartbeat import HeartbeatListener
from tests.simulator.supervised import PRELUDE, needs

SECONDS = 30.0
CID = 16
INIT = ("init", stat.S_IFREG | 0o755, b"")
MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp", "var")
METADATA = identity(
    name="test",
    version="1",
    build_time="2025-01-01T00:00:00+00:00",
    build_tool="tests",
    build_tool_version="1",
    operating_system="Linux",
    kernel_version="none",
)
_TOOLS = ("sh", "cat", "sleep")

_LIST_MODULES = """
files = {module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)}
print(sys.base_prefix, *files, sep="\\n")
"""

Entry = tuple[str, int, bytes]
"""Path, mode, content or target."""


def archive(entries: Sequence[Entry]) -> bytes:
    """A cpio archive of the format newc."""
    written = BytesIO()
    for number, (path, mode, content) in enumerate((*entries, ("TRAILER!!!", 0, b"")), 1):
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 1_000_000_000, len(content), 0, 0, 0, 0, len(name), 0)
        for piece in (b"070701" + b"".join(b"%08x" % value for value in fields) + name, content):
            written.write(piece + bytes(-len(piece) % 4 if piece is content else 0))
            written.write(bytes(-written.tell() % 4))
    return written.getvalue()


@cache
def libraries(program: str) -> tuple[str, ...]:
    """The files that a program of this machine is loaded with."""
    if shutil.which("ldd") is None:
        pytest.skip("ldd is needed, to know what the shell of this machine is made of")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return tuple(dict.fromkeys(re.findall(r"(/\S+) \(0x", listed)))


@cache
def shell_files(*more: str) -> dict[str, bytes]:
    """A shell and a few tools, in /bin, and their libraries."""
    files = {}
    for tool in (*_TOOLS, *more):
        program = shutil.which(tool, path="/bin:/usr/bin")
        if program is None:
            pytest.skip(f"{tool} is needed, to make an image of it")
        files[f"bin/{tool}"] = Path(program).read_bytes()
        files |= {name.lstrip("/"): Path(name).read_bytes() for name in libraries(program)}
    return files


@cache
def python_files(more: str = "") -> dict[str, bytes]:
    """This Python, as /bin/python, with what PRELUDE and `more`, a source, import and no more."""
    code = f"{PRELUDE}\n{more}\n{_LIST_MODULES}"
    listed = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    prefix, *names = listed.stdout.split("\n")[:-1]
    program = str(Path(sys.executable).resolve())
    version = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    files = {"bin/python": Path(program).read_bytes(), f"{version}/os.py": b""}
    loaded = [program, *(name for name in names if name.endswith(".so"))]
    for name in dict.fromkeys(library for one in loaded for library in libraries(one)):
        files[name.lstrip("/")] = Path(name).read_bytes()
    for name in names:
        files[str(Path(name).relative_to(prefix))] = Path(name).read_bytes()
    return files


@dataclass(frozen=True, kw_only=True)
class Image:
    """What an image is made of. The default is one that runs a shell command."""

    command: Sequence[str] | None = ("/bin/sh", "-c", "true")
    """The lines of /cmd; None for no such file."""
    environment: Sequence[str] | None = ("GREETING=hello",)
    files: Mapping[str, bytes] = field(default_factory=shell_files)
    folders: Sequence[str] = MOUNT_POINTS
    more: Sequence[Entry] = ()
    """In the application's ramdisk, last."""
    first: bytes | None = None
    """The first ramdisk, instead of one with an init."""

    def write(self, path: Path) -> Path:
        """Write the image file."""
        folders = {str(parent) for name in self.files for parent in Path(name).parents}
        names = sorted({*folders - {"."}, *self.folders})
        entries: list[Entry] = [("rootfs", stat.S_IFDIR | 0o755, b"")]
        entries += [(f"rootfs/{name}", stat.S_IFDIR | 0o755, b"") for name in names]
        entries += [(f"rootfs/{name}", stat.S_IFREG | 0o755, c) for name, c in self.files.items()]
        for name, lines in (("cmd", self.command), ("env", self.environment)):
            if lines is not None:
                content = "".join(f"{line}\n" for line in lines).encode()
                entries.append((name, stat.S_IFREG | 0o644, content))
        first = archive([INIT]) if self.first is None else self.first
        with path.open("wb+") as file:
            write_eif(
                file,
                kernel=b"kernel",
                cmdline=b"console=ttyS0",
                ramdisks=[first, archive([*entries, *self.more])],
                metadata=METADATA,
                arm64=platform.machine() == "aarch64",
            )
        return path


@contextmanager
def booted(
    image: Image,
    folder: Path,
    rung: Rung = Rung.NAMESPACES,
    *,
    nsm_handle: Handle | None = None,
    debug: bool = False,
    memory: int | None = None,
    heartbeat: HeartbeatListener | None = None,
) -> Iterator[Booted]:
    """An enclave that starts, in a folder of the test's own."""
    needs(rung)
    fabric = folder / "vsock"
    fabric.mkdir(exist_ok=True)
    with boot(
        image.write(folder / "image.eif"),
        scratch=folder / "scratch",
        fabric=fabric,
        cid=CID,
        nsm_handle=nsm_handle,
        debug=debug,
        memory=memory,
        heartbeat=heartbeat,
        rung=rung,
    ) as enclave:
        yield enclave
    assert not (folder / "scratch").exists()


def output(image: Image, folder: Path, rung: Rung = Rung.NAMESPACES) -> list[str]:
    """Boot and wait for the end: the lines of the console."""
    with booted(image, folder, rung) as enclave:
        enclave.wait_heartbeat(SECONDS)
        enclave.wait(SECONDS)
        return enclave.console.output.decode().splitlines()
