"""An HTML page as a tree, read strictly: what is opened is closed, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"br", "col", "input", "link", "meta"})


@dataclass
class Node:
    """An element with its attributes, and text and elements in it."""

    name: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    inside: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.inside)

    @property
    def classes(self) -> set[str]:
        return set((self.attributes.get("class") or "").split())

    def __iter__(self) -> Iterator[Node]:
        """Itself, and all elements in it, in the order of the page."""
        yield self
        for part in self.inside:
            if isinstance(part, Node):
                yield from part

    def all(self, name: str, class_: str | None = None) -> list[Node]:
        return [
            node for node in self if node.name == name and (not class_ or class_ in node.classes)
        ]

    def one(self, name: str, class_: str | None = None) -> Node:
        [node] = self.all(name, class_)
        return node

    def by_id(self, identifier: str) -> Node:
        [node] = [node for node in self if node.attributes.get("id") == identifier]
        return node


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("document")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute stands twice in {tag} {attrs}"
        node = Node(tag, dict(attrs))
        self.open[-1].inside.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def read(page: str) -> Node:
    """The document. Raises AssertionError for one that is not well formed."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    [document] = reader.open
    return document
