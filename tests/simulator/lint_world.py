"""Images for `attested-kms lint`: one that nothing is wrong with, and changes to it."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.images import open_image
from simulator.images.build import build_eif
from simulator.lint.check import Result, check
from simulator.lint.reading import Beside, read
from tests.simulator.image_archives import layer, member, saved, symlink
from tests.simulator.test_images_elf import program

STATIC = program(None, dynamic=((0, 0),))
DYNAMIC = program(b"/lib64/ld-linux-x86-64.so.2\0")
"""It needs libc.so.6."""
FOR_ARM = program(None, dynamic=((0, 0),), machine=183)
SHARED = program(None, b"\0", ((5, 0x1000), (0, 0)))
"""A library that needs no other."""

Files = Mapping[str, bytes | tuple[bytes, int] | str | None]
"""By path: the bytes of an executable file, or with its mode, or where a link leads; None removes
one of the good image's."""

_SAME: Files = {}

GOOD_FILES: Files = {
    "app": STATIC,
    "bin/sh": STATIC,
    "etc/ssl/certs/ca-certificates.crt": (b"certificates", 0o644),
}
GOOD_CONFIG = {"Cmd": ["/app"], "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]}

GOOD_DOCKERFILE = """\
FROM scratch
COPY app /app
COPY bundle /etc/ssl/certs/ca-certificates.crt
CMD ["/app"]
"""


def archive(at: Path, files: Files = _SAME, **config: Any) -> Path:
    """The good image with other files and settings, as docker save writes it."""
    members = []
    for path, content in {**GOOD_FILES, **files}.items():
        match content:
            case str():
                members.append(symlink(path, content))
            case (data, mode):
                members.append(member(path, data, mode=mode))
            case bytes():
                members.append(member(path, content, mode=0o755))
    return saved(at, layer(*members), config=_without_none({**GOOD_CONFIG, **config}))


def _without_none(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if value is not None}


def enclave(at: Path, files: Files = _SAME, **config: Any) -> Path:
    """The same as an EIF."""
    build_eif(open_image(archive(at.with_suffix(".tar"), files, **config)), at)
    return at


def linted(path: Path | str, **options: Any) -> Result:
    """What a check finds."""
    return check(read(str(path), Beside(**options)))


def ids(result: Result) -> list[str]:
    """The rules that it finds something by."""
    return [finding.rule.id for finding in result.findings]


def dockerfile(folder: Path, text: str, **files: bytes) -> Path:
    """A Dockerfile with its context."""
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        file = folder / name
        file.write_bytes(data)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    path = folder / "Dockerfile"
    path.write_text(text)
    return path
