"""The folder that a Dockerfile is built in: what COPY may take of it.

`.dockerignore` is honoured: patterns as in Docker's reference (`*`, `?`, `[...]`, `**`), `!` for
exceptions, the last that matches decides. Links that lead out of the folder are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from simulator.images.errors import BadImage
from simulator.images.folders import file_node
from simulator.images.layers import Budget
from simulator.images.tree import Kind, Node, Tree

_IGNORE = ".dockerignore"


def context_tree(folder: Path, budget: Budget) -> Tree:
    """The files of the folder that are not ignored."""
    ignored = _Ignored(folder / _IGNORE)
    tree = Tree()
    _add(tree.root, folder, "", ignored, budget)
    return tree


def _add(node: Node, folder: Path, prefix: str, ignored: _Ignored, budget: Budget) -> bool:
    """Put what is not ignored into the node; whether there was any."""
    kept = False
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise BadImage(f"cannot read {folder}: {error.strerror or error}") from error
    for path in paths:
        name = f"{prefix}{path.name}"
        excluded = ignored.has(name)
        if excluded and not path.is_dir():
            continue
        child = file_node(path, budget, {})
        if child is None:
            continue
        inside = child.kind is Kind.DIRECTORY and _add(child, path, f"{name}/", ignored, budget)
        # Of an ignored directory an exception may keep something.
        if not excluded or inside:
            node.children[path.name] = child
            kept = True
    return kept


class _Ignored:
    def __init__(self, file: Path) -> None:
        self._patterns = list(_patterns(file))

    def has(self, name: str) -> bool:
        """Whether a file is ignored: a directory's pattern is also that of all below it."""
        ignored = False
        for pattern, exception in self._patterns:
            if pattern.fullmatch(name):
                ignored = not exception
        return ignored


def _patterns(file: Path) -> Iterator[tuple[re.Pattern[str], bool]]:
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise BadImage(f"cannot read {file}: {error}") from error
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        exception = text.startswith("!")
        pattern = text.removeprefix("!").strip().strip("/")
        yield re.compile(f"{_expression(pattern)}(/.*)?", re.DOTALL), exception


def matching(pattern: str) -> re.Pattern[str]:
    """What COPY takes for a source with wildcards."""
    return re.compile(_expression(pattern), re.DOTALL)


def _expression(pattern: str) -> str:
    parts = []
    for piece in re.findall(r"\*\*/?|\*|\?|\[[^\]]+\]|\\.|.", pattern, re.DOTALL):
        if piece.startswith("**"):
            parts.append("(.*/)?" if piece.endswith("/") else ".*")
        elif piece == "*":
            parts.append("[^/]*")
        elif piece == "?":
            parts.append("[^/]")
        elif piece.startswith("[") and len(piece) > 1:
            parts.append(piece)
        else:
            parts.append(re.escape(piece[-1] if piece.startswith("\\") else piece))
    return "".join(parts)
