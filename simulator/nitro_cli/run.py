"""`nitro-cli run-enclave`.

Source: aws-nitro-enclaves-cli v1.4.4, src/main.rs, src/lib.rs, src/common/commands_parser.rs:
`inferred`.
"""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import replace
from typing import Any

from simulator.nitro_cli.command_line import Given
from simulator.nitro_cli.config_file import NotSerde, Settings, not_read, settings
from simulator.nitro_cli.console import attach
from simulator.nitro_cli.enclaves import DaemonFailed, all_enclaves, ask, no_answers, pretty
from simulator.nitro_cli.numbers import NotANumber, unsigned
from simulator.nitro_cli.rust_text import debug
from simulator.nitro_cli.session import Failed, Session, failed, within, working_directory

_ACTION = "Run Enclave"
_PARSER = "src/common/commands_parser.rs"
_U32_MAX = (1 << 32) - 1
_U64_MAX = (1 << 64) - 1
_HOST_CID, _PARENT_CID = 2, 3
_MEBIBYTES = {"": 1, "m": 1, "g": 1 << 10, "t": 1 << 20}


def run(session: Session, given: Given) -> int:
    """Start an enclave, and show its console if asked to."""
    with within("Failed to construct RunEnclave arguments", action=_ACTION):
        file = given.text("config")
        asked = _from_words(session, given) if file is None else _from_file(file)
    with within("Failed to handle all enclave process replies", action="Get Enclaves Name"):
        enclaves = all_enclaves(session, "GetEnclaveName")
    name = _name(asked, {enclave["EnclaveName"] for enclave in enclaves})
    session.info("src/main.rs:107", "Sent command: Run")
    try:
        started = ask(session, "run", _arguments(session, asked, name))
    except DaemonFailed as error:
        session.fail(error.failure.within(action=_ACTION))
        session.say("Failed connections: 1")
        raise no_answers(
            1, "Failed to handle all enclave process replies", action=_ACTION
        ) from error
    session.print(pretty(started))
    if asked.attach_console:
        return attach(session, started, None)
    return 0


def _arguments(session: Session, asked: Settings, name: str) -> dict[str, Any]:
    """What the broker is told. A CID of 0 is any, as it is for the driver."""
    arguments: dict[str, Any] = {
        "eif_path": asked.eif_path,
        "directory": working_directory(),
        "memory_mib": asked.memory_mib,
        "debug_mode": asked.debug_mode,
        "enclave_name": name,
        "version": session.version,
    }
    if asked.cpu_ids is not None:
        arguments["cpu_ids"] = list(asked.cpu_ids)
    else:
        arguments["cpu_count"] = asked.cpu_count
    if (logs := session.named_logs) is not None:
        arguments["logs"] = logs
    if asked.enclave_cid:
        arguments["enclave_cid"] = asked.enclave_cid
    return arguments


def _name(asked: Settings, taken: Container[str]) -> str:
    """The asked name or the file's, with a number if an enclave has it."""
    name = asked.enclave_name
    if name is None:
        name = asked.eif_path.rpartition("/")[2]
        while name.endswith(".eif"):
            name = name.removesuffix(".eif")
    numbered, index = name, 0
    while numbered in taken:
        index += 1
        numbered = f"{name}_{index}"
    return numbered


def _from_file(path: str) -> Settings:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise failed(
            "E19", f"Failed to open config file: {debug(error)}", _PARSER, 47, (path, "Open")
        ) from error
    try:
        asked = settings(_content(descriptor))
    except NotSerde as error:
        raise failed("E17", f"Invalid JSON format for config file: {error}", _PARSER, 55) from error
    if asked.cpu_count is None and asked.cpu_ids is None:
        raise failed("E01", "Missing both `cpu-count` and `cpu-ids`", _PARSER, 61)
    if asked.cpu_count is not None and asked.cpu_ids is not None:
        raise failed("E02", "`cpu-count` and `cpu-ids` cannot be used together", _PARSER, 67)
    # The file alone counts: --attach-console beside --config does nothing.
    return replace(asked, debug_mode=asked.debug_mode or asked.attach_console)


def _content(descriptor: int) -> str:
    """All of a file that opens, which a folder does too. Raises NotSerde."""
    try:
        with open(descriptor, "rb", closefd=False) as file:
            return file.read().decode(errors="surrogateescape")
    except OSError as error:
        raise not_read(error) from error
    finally:
        os.close(descriptor)


def _from_words(session: Session, given: Given) -> Settings:
    """In the order in which the real one looks at them."""
    with within("Parse CPU count"):
        cpu_count = _cpu_count(given)
    with within("Parse enclave CID"):
        enclave_cid = _enclave_cid(session, given)
    with within("Parse memory"):
        memory_mib = _memory(given)
    with within("Parse CPU IDs"):
        cpu_ids = _cpu_ids(given)
    return Settings(
        eif_path=given.text("eif-path") or "",
        memory_mib=memory_mib,
        enclave_cid=enclave_cid,
        cpu_ids=cpu_ids,
        cpu_count=cpu_count,
        debug_mode="debug-mode" in given or "attach-console" in given,
        attach_console="attach-console" in given,
        enclave_name=given.text("enclave-name"),
    )


def _cpu_count(given: Given) -> int | None:
    text = given.text("cpu-count")
    if text is None:
        return None
    try:
        return unsigned(text, _U32_MAX)
    except NotANumber as error:
        raise failed(
            "E03", "`cpu-count` is not a number", _PARSER, 504, ("cpu-count", text)
        ) from error


def _cpu_ids(given: Given) -> tuple[int, ...] | None:
    if "cpu-ids" not in given:
        return None
    return tuple(_cpu_id(text) for text in given.options["cpu-ids"])


def _cpu_id(text: str) -> int:
    try:
        return unsigned(text, _U32_MAX)
    except NotANumber as error:
        raise failed("E03", "`cpu-id` is not a number", _PARSER, 487, ("cpu-id", text)) from error


def _enclave_cid(session: Session, given: Given) -> int | None:
    text = given.text("enclave-cid")
    if text is None:
        return None
    try:
        cid = unsigned(text, _U64_MAX)
    except NotANumber as error:
        raise failed(
            "E03", "`enclave-cid` is not a number", _PARSER, 383, ("enclave-cid", text)
        ) from error
    if cid == 0:
        session.say("The enclave CID will be auto-generated as the provided CID is 0")
    refusal = _cid_refusal(cid)
    if refusal is not None:
        line, why = refusal
        raise failed("E03", f"CID {cid} is {why}", _PARSER, line)
    return cid


def _cid_refusal(cid: int) -> tuple[int, str] | None:
    """Why an enclave may not have the CID, and where the real one finds it."""
    well_known = "a well-known CID, not to be used for enclaves"
    if 0 < cid <= _HOST_CID:
        return 402, well_known
    if cid == _U32_MAX:
        return 409, well_known
    if cid == _PARENT_CID:
        return 417, "the CID of the parent VM, not to be used for enclaves"
    if cid > _U32_MAX:
        return 427, "higher than the maximum supported (u32 max) for a vsock device"
    return None


def _memory(given: Given) -> int:
    """In MiB."""
    text = given.text("memory") or ""
    index = next(
        (index for index, character in enumerate(text) if not character.isnumeric()), len(text)
    )
    try:
        number = unsigned(text[:index], _U64_MAX)
    except NotANumber as error:
        raise _bad_memory(text, "a number", 352) from error
    factor = _MEBIBYTES.get(text[index:].lower())
    if factor is None:
        raise _bad_memory(text, "a valid size indicator", 360)
    # A release build of the real one wraps around.
    return number * factor & _U64_MAX


def _bad_memory(text: str, missing: str, line: int) -> Failed:
    return failed(
        "E03",
        f"`memory` argument does not contain {missing}",
        _PARSER,
        line,
        ("memory", text),
    )
