"""Machines that are written down, for tests of doctor and of its checks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.doctor.folder import FolderHost


def written(folder: Path, files: Mapping[str, str | bytes] | None = None, **described: Any) -> Path:
    """A folder for `--host`: files by their absolute paths, and what host.json says beside."""
    for path, content in (files or {}).items():
        place = folder / "root" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "host.json").write_text(json.dumps({"format": 1, **described}))
    return folder


def command(*words: str, **outcome: Any) -> dict[str, Any]:
    """An entry of `commands`: exit_code, stdout, stderr, hangs."""
    return {"words": list(words), **outcome}


def host(
    folder: Path, files: Mapping[str, str | bytes] | None = None, **described: Any
) -> FolderHost:
    """The same, opened."""
    return FolderHost(written(folder, files, **described))
