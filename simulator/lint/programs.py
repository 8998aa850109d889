"""What the kernel takes a file for when it is to run it.

Source: Linux, fs/binfmt_elf.c and fs/binfmt_script.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from simulator.images.elf import BadElf, Elf, is_elf, read_elf

_FIRST_LINE = 256
"""Bytes of a script that the kernel looks at (BINPRM_BUF_SIZE; 128 before Linux 5.1)."""
_CLASS = 4
_CLASS32 = 1


@dataclass(frozen=True, slots=True)
class Script:
    """A file that begins with `#!`."""

    interpreter: str
    argument: str | None


@dataclass(frozen=True, slots=True)
class NoProgram:
    """Neither ELF nor a script: execve refuses it as ENOEXEC."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """ELF of 32 bits: whether it runs is up to how the kernel was built."""


Program = Elf | Script | NoProgram | Unclear


def read_program(file: BinaryIO) -> Program:
    """What a file is."""
    head = file.read(_FIRST_LINE)
    if is_elf(head):
        if head[_CLASS : _CLASS + 1] == bytes([_CLASS32]):
            return Unclear()
        try:
            return read_elf(file)
        except BadElf:
            return NoProgram()
    return _script(head) if head.startswith(b"#!") else NoProgram()


def _script(head: bytes) -> Script | NoProgram:
    line = head[2:].split(b"\n", 1)[0].strip(b" \t")
    interpreter, _, argument = line.replace(b"\t", b" ").partition(b" ")
    if not interpreter:
        return NoProgram()
    return Script(
        interpreter.decode("utf-8", "surrogateescape"),
        argument.strip(b" ").decode("utf-8", "surrogateescape") or None,
    )
