"""The README says what the code does: its table, its Python, its links."""

from __future__ import annotations

import re
from pathlib import Path

from tests.project.readme_rules import README, with_tables

ROOT = README.parent


def test_the_tables_of_errors_are_those_of_the_code() -> None:
    text = README.read_text()
    assert with_tables(text) == text, "run python -m tests.project.readme_rules"


def test_the_python_in_it_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 1
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102  # Our own text.


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_changelog_has_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert f"## {version[1]} " in Path(ROOT / "CHANGELOG.md").read_text()
