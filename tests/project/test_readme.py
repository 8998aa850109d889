"""The README and the pages beside it say what the code does: tables, Python, links."""

from __future__ import annotations

import re
from pathlib import Path

from tests.project.readme_rules import PAGE, README, page, with_table

ROOT = README.parent


def test_the_table_of_errors_is_that_of_the_code() -> None:
    text = README.read_text()
    assert with_table(text) == text, "run python -m tests.project.readme_rules"


def test_the_page_of_other_refusals_is_that_of_the_code() -> None:
    assert PAGE.read_text() == page(), "run python -m tests.project.readme_rules"


def test_the_python_in_it_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 1
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102  # Our own text.


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def test_links_lead_somewhere() -> None:
    pages = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", _prose(page))
        if not link.startswith("https://")
    ]
    assert {page for page, _ in links} >= {README, PAGE}
    assert [link for page, link in links if not (page.parent / link).exists()] == []


def test_the_changelog_has_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert f"## {version[1]} " in Path(ROOT / "CHANGELOG.md").read_text()
