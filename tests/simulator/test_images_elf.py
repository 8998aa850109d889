"""Reading ELF programs, hostile ones too."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.images.elf import BadElf, Elf, read_elf


def program(
    interpreter: bytes | None = b"/lib64/ld.so\0",
    strings: bytes = b"\0libc.so.6\0$ORIGIN:/x\0",
    dynamic: tuple[tuple[int, int], ...] = ((1, 1), (29, 11), (5, 0x1000), (0, 0)),
    *,
    machine: int = 62,
) -> bytes:
    """A program of headers alone, whose strings stand at the address 0x1000."""
    entries = b"".join(struct.pack("<qQ", *pair) for pair in dynamic)
    parts = [(1, strings, 0x1000), (2, entries, 0)]
    parts += [(3, interpreter, 0)] if interpreter is not None else []
    base = 64 + 56 * len(parts)
    table, body = b"", b""
    for kind, content, address in parts:
        at = base + len(body)
        table += struct.pack("<IIQQQQQQ", kind, 0, at, address, 0, len(content), len(content), 1)
        body += content
    header = struct.pack(
        "<4sBBB9xHHIQQQIHHHHHH",
        *(b"\x7fELF", 2, 1, 1, 3, machine, 1, 0, 64, 0, 0, 64, 56, len(parts), 0, 0, 0),
    )
    return header + table + body


def read(data: bytes) -> Elf:
    return read_elf(io.BytesIO(data))


def test_a_dynamic_program_names_its_linker_and_libraries() -> None:
    elf = read(program())
    assert (elf.architecture, elf.interpreter) == ("x86_64", "/lib64/ld.so")
    assert (elf.needed, elf.search, elf.static) == (("libc.so.6",), ("$ORIGIN", "/x"), False)


def test_a_program_without_both_is_static() -> None:
    elf = read(program(None, dynamic=((0, 0),), machine=183))
    assert (elf.architecture, elf.static) == ("aarch64", True)
    assert read(program(None, dynamic=((0, 0),), machine=9)).architecture == "9"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"#!/bin/sh" + bytes(64), "no ELF"),
        (b"\x7fELF\x01\x01" + bytes(64), "not for 64 bits"),
        (b"\x7fELF", "cut short"),
        (program()[:100], "cut short"),
        (program(dynamic=((5, 0x9999), (1, 1), (0, 0))), "outside of its segments"),
        (program(dynamic=((5, 0x1000), (1, 2**63), (0, 0))), "outside of it"),
        (program(interpreter=b"no end"), "no end"),
    ],
)
def test_a_damaged_program_is_said(data: bytes, said: str) -> None:
    with pytest.raises(BadElf, match=said):
        read(data)


@given(st.integers(0, len(program()) - 1), st.binary(min_size=1, max_size=8))
@settings(deadline=None, max_examples=200)
def test_any_damage_is_bad_or_read(at: int, noise: bytes) -> None:
    data = program()
    try:
        read(data[:at] + noise + data[at + len(noise) :])
    except BadElf:
        return
