"""The metadata of an image: who built it, when, from what. Not measured by any PCR.

One JSON object (`EifIdentityInfo` and `EifBuildInfo` of aws-nitro-enclaves-image-format,
`src/defs/mod.rs`), its members in the order of AWS's types, those of `DockerInfo` and
`CustomMetadata` sorted by name (nitro-cli builds serde_json without `preserve_order`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nsm_fake.eif.errors import EifBadMetadata, EifUnwritable
from nsm_fake.eif.json_text import NotJson, read_json, sorted_members, write_compact

MAX_METADATA = 1 << 20
"""The longest metadata section that is read: ours, hundreds of times what a build writes."""
MAX_CUSTOM_METADATA = 4096
"""Bytes in a file of custom metadata (`MAX_META_FILE_SIZE`, src/utils/identity.rs)."""
_BUILD = ("BuildTime", "BuildTool", "BuildToolVersion", "OperatingSystem", "KernelVersion")
_UNKNOWN = "Unknown"


def identity(  # noqa: PLR0913  (what the metadata tell)
    *,
    name: str,
    version: str,
    build_time: str,
    build_tool: str,
    build_tool_version: str,
    operating_system: str,
    kernel_version: str,
    docker_info: Any = None,
    custom: Any = None,
) -> dict[str, Any]:
    """The metadata of an image; `build_time` is RFC 3339 as Rust's chrono writes it."""
    build = (build_time, build_tool, build_tool_version, operating_system, kernel_version)
    return {
        "ImageName": name,
        "ImageVersion": version,
        "BuildMetadata": dict(zip(_BUILD, build, strict=True)),
        "DockerInfo": docker_info,
        "CustomMetadata": custom,
    }


def encode_metadata(metadata: Mapping[str, Any]) -> bytes:
    """The content of the section. Raises EifUnwritable if a member is missing or not text.

    DockerInfo and CustomMetadata may be missing and are null then.
    """
    problem = _problem({"DockerInfo": None, "CustomMetadata": None, **metadata})
    if problem is not None:
        raise EifUnwritable(f"The metadata of an image are incomplete: {problem}.")
    build = metadata["BuildMetadata"]
    encoded = write_compact(
        {
            "ImageName": metadata["ImageName"],
            "ImageVersion": metadata["ImageVersion"],
            "BuildMetadata": {name: build[name] for name in _BUILD},
            "DockerInfo": sorted_members(metadata.get("DockerInfo")),
            "CustomMetadata": sorted_members(metadata.get("CustomMetadata")),
        }
    )
    if len(encoded) > MAX_METADATA:
        raise EifUnwritable(
            f"The metadata have {len(encoded)} bytes, more than the {MAX_METADATA} that are read."
        )
    return encoded


def parse_metadata(data: bytes, *, where: str) -> dict[str, Any]:
    """The metadata, as AWS's types accept them. Raises EifBadMetadata."""
    try:
        value = read_json(data)
    except NotJson as error:
        raise EifBadMetadata(f"{where}: its metadata are not JSON: {error}.") from error
    problem = _problem(value)
    if problem is not None:
        raise EifBadMetadata(f"{where}: its metadata are not those of an image: {problem}.")
    result: dict[str, Any] = value
    return result


def read_custom_metadata(path: Path) -> Any:
    """The value in a file for `--metadata`: any JSON. Raises EifBadMetadata.

    In the order of checks, and with the texts, of `parse_custom_metadata`.
    """
    if not path.is_file():
        raise EifBadMetadata(
            f"{path} is no file; give one with JSON in it.",
            real_text="Specified path is not a file",
        )
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CUSTOM_METADATA + 1)
    except OSError as error:
        raise EifBadMetadata(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_CUSTOM_METADATA:
        raise EifBadMetadata(
            f"{path} is longer than the {MAX_CUSTOM_METADATA} bytes that custom metadata may have.",
            real_text=f"Metadata file size exceeded limit of {MAX_CUSTOM_METADATA}B",
        )
    try:
        return read_json(data)
    except NotJson as error:
        raise EifBadMetadata(f"{path} is not JSON: {error}.") from error


def kernel_identity(config: str) -> tuple[str, str]:
    """Operating system and kernel version, as a build reads them from the kernel's `.config`.

    They are words of its third line, `# Linux/x86_64 4.14.256 Kernel Configuration`. Raises
    EifUnwritable if there is no third line, where the real builder panics.
    """
    lines = config.splitlines()
    if len(lines) < 3:
        raise EifUnwritable(
            "The kernel's configuration has less than three lines; its third tells the version."
        )
    words = lines[2].replace("/", " ").replace("-", " ").split(" ")
    system, version = (words[at] if at < len(words) else _UNKNOWN for at in (1, 3))
    return system, version


def _problem(value: Any) -> str | None:
    """What is wrong with metadata, or None."""
    if not isinstance(value, Mapping):
        return "they are no JSON object"
    texts = {name: value.get(name) for name in ("ImageName", "ImageVersion")}
    build = value.get("BuildMetadata")
    if not isinstance(build, Mapping):
        return "BuildMetadata is missing, or no object"
    texts |= {name: build.get(name) for name in _BUILD}
    wrong = [name for name, text in texts.items() if not isinstance(text, str)]
    if wrong:
        return f"{', '.join(wrong)}: missing, or not text"
    missing = [name for name in ("DockerInfo", "CustomMetadata") if name not in value]
    return f"{', '.join(missing)} missing" if missing else None
