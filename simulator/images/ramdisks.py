"""The two ramdisks of an enclave image, as nitro-cli has linuxkit make them.

The first has what boots: `dev`, `init` and `nsm.ko`. The second has the image's files under
`rootfs`, the directories that init mounts on, and `cmd` and `env`, a line for each word.

Source (inferred, for it was read and not run): nitro-cli v1.4.4 `enclave_build/src`
(yaml_generator.rs, docker.rs, lib.rs); linuxkit v1.5.2 `src/cmd/linuxkit` (moby/build/build.go,
moby/build/image.go, initrd/initrd.go) with the three patches that aws-nitro-enclaves-sdk-bootstrap
has for it (a prefix for the image's files, no compression, no file twice); what `docker create`
puts into a container before linuxkit exports it (moby, daemon/initlayer). By these:

- files come in the order in which an engine exports them, directories with a slash at their end;
- hard links become symbolic links, relative ones;
- `/.dockerenv`, `/Dockerfile`, `/dev/console`, `/etc/hostname` are left out; `/etc/hosts` is
  linuxkit's, `/etc/resolv.conf` a link to `/run/resolvconf/resolv.conf`, `/etc/mtab` one to
  `/proc/mounts`, whatever the image has there; `dev`, `dev/pts`, `dev/shm`, `etc`, `proc` and `sys`
  are there, with linuxkit's time;
- what the YAML lists comes last, so that `rootfs` and five directories of it come twice.

Not proven: that the bytes are those of a real build, as neither an engine nor nitro-cli's blobs
were at hand to compare with. The modes of `/etc/hosts` and `/etc/resolv.conf` (0755, by initlayer)
and files that an engine's storage driver shows otherwise than its layers have them are the
likeliest places to differ. Extended attributes are in no ramdisk.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from simulator.images import cpio
from simulator.images.blobs import Blobs
from simulator.images.contents import Content, HostFile, Literal
from simulator.images.errors import BadImage
from simulator.images.folders import MTIME
from simulator.images.image import ContainerImage
from simulator.images.tree import Entry, Kind, Node, Tree

_ROOTFS = "rootfs"
_MOUNT_POINTS = ("dev", "run", "sys", "var", "proc", "tmp")
_LEFT_OUT = frozenset({".dockerenv", "Dockerfile", "dev/console", "etc/hostname"})
_TOUCHED = frozenset({"dev", "dev/pts", "dev/shm", "etc", "etc/mtab", "proc", "sys"})
_RESOLV_CONF = "etc/resolv.conf"
_RESOLV_CONF_TARGET = "/run/resolvconf/resolv.conf"
_HOSTS = "etc/hosts"
_HOSTS_TEXT = b"""\
127.0.0.1       localhost
::1     localhost ip6-localhost ip6-loopback
fe00::0 ip6-localnet
ff00::0 ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
"""

_KINDS = {
    Kind.DIRECTORY: cpio.DIRECTORY,
    Kind.FILE: cpio.FILE,
    Kind.SYMLINK: cpio.SYMLINK,
    Kind.HARDLINK: cpio.SYMLINK,
    Kind.CHARACTER_DEVICE: cpio.CHARACTER,
    Kind.BLOCK_DEVICE: cpio.BLOCK,
    Kind.FIFO: cpio.FIFO,
}


def write_bootstrap(file: BinaryIO, blobs: Blobs) -> None:
    """The first ramdisk."""
    writer = cpio.Writer(file)
    writer.add(_directory("dev"))
    writer.add(_file("init", 0o755), _content(blobs.init))
    writer.add(_file("nsm.ko", 0o755), _content(blobs.nsm_ko))
    writer.close()


def write_application(file: BinaryIO, image: ContainerImage) -> None:
    """The second ramdisk."""
    writer = cpio.Writer(file)
    writer.add(_directory(_ROOTFS))
    for entry in _as_container(image.tree).walk():
        if entry.path not in _LEFT_OUT or entry.kind is Kind.DIRECTORY:
            writer.add(*_exported(entry))
    writer.add(_directory(_ROOTFS))
    for name in _MOUNT_POINTS:
        writer.add(_directory(f"{_ROOTFS}/{name}"))
    writer.add(_file("cmd", 0o644), _lines(image.config.command))
    writer.add(_file("env", 0o644), _lines(image.config.env))
    writer.close()


def _lines(words: Iterable[str]) -> bytes:
    """One word a line; nothing is escaped, so that a word with a line feed becomes two."""
    return "".join(f"{word}\n" for word in words).encode("utf-8", "surrogateescape")


def _as_container(image: Tree) -> Tree:
    """The files of a container that an engine created of the image."""
    tree = image.copy()
    for path in ("dev/pts", "dev/shm", "proc", "sys"):
        _make_way(tree, path)
        tree.make_directory(path)
    for path, node in {
        _HOSTS: Node(Kind.FILE, mode=0o755, mtime=MTIME, content=Literal(_HOSTS_TEXT)),
        _RESOLV_CONF: Node(Kind.SYMLINK, mode=0o755, mtime=MTIME, target=_RESOLV_CONF_TARGET),
        "etc/mtab": Node(Kind.SYMLINK, mode=0o777, mtime=MTIME, target="/proc/mounts"),
    }.items():
        _make_way(tree, path)
        tree.put(path, node)
    return tree


def _make_way(tree: Tree, path: str) -> None:
    """Remove each part of the path that is no directory, as the engine does."""
    at = ""
    for part in path.split("/"):
        at = f"{at}/{part}" if at else part
        if tree.kind(at) not in {None, Kind.DIRECTORY}:
            tree.remove(at)


def _exported(entry: Entry) -> tuple[cpio.Header, Content | bytes]:
    path = f"{_ROOTFS}/{entry.path}"
    content: Content | bytes = b""
    if entry.kind is Kind.FILE and entry.content is not None:
        content = entry.content
    elif entry.kind is Kind.SYMLINK:
        content = entry.target.encode("utf-8", "surrogateescape")
    elif entry.kind is Kind.HARDLINK:
        target = posixpath.relpath(f"/{_ROOTFS}/{entry.target}", posixpath.dirname(f"/{path}"))
        content = target.encode("utf-8", "surrogateescape")
    header = cpio.Header(
        name=f"{path}/" if entry.kind is Kind.DIRECTORY else path,
        kind=_KINDS[entry.kind],
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        mtime=MTIME if entry.path in _TOUCHED else entry.mtime,
        device=entry.device,
    )
    return header, content


def _directory(name: str) -> cpio.Header:
    return cpio.Header(name, cpio.DIRECTORY, 0o755, mtime=MTIME)


def _file(name: str, mode: int) -> cpio.Header:
    return cpio.Header(name, cpio.FILE, mode, mtime=MTIME)


def _content(part: bytes | Path) -> Content:
    if isinstance(part, bytes):
        return Literal(part)
    try:
        return HostFile(part, part.stat().st_size)
    except OSError as error:
        raise BadImage(f"cannot read {part}: {error.strerror or error}") from error
