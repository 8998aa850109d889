"""That a page which says something untrue is noticed: the reader and the shell of `how_to`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.interop.how_to import HowTo, Step, Unreadable, as_shown, follow, read

SERVER = """\
```console
$ attested-kms serve --port 0
{"kms_endpoint": "http://127.0.0.1:1"}
```

```console
$ export ENDPOINT=http://127.0.0.1:1 # kms_endpoint
```
"""


def page(tmp_path: Path, text: str) -> HowTo:
    (tmp_path / "page.md").write_text(SERVER + text)
    return read(tmp_path / "page.md")


def went(tmp_path: Path, how_to: HowTo) -> list[Step]:
    folder = tmp_path / "empty"
    folder.mkdir()
    return follow(how_to, folder, os.environ)


def test_a_page_is_read_as_its_reader_reads_it(tmp_path: Path) -> None:
    text = "`a.txt`:\n\n```\nhello\n```\n\n```sh\nX=$(cat a.txt)\n```\n\n```sh\necho $X\n```\n\n"
    how_to = page(tmp_path, text + "```text\nhello\n```\n")
    assert how_to == HowTo(
        server=("serve", "--port", "0"),
        ready=frozenset({"kms_endpoint"}),
        handed_over={"ENDPOINT": "kms_endpoint"},
        files={"a.txt": "hello\n"},
        steps=(Step("X=$(cat a.txt)\n", None), Step("echo $X\n", "hello\n")),
    )
    assert went(tmp_path, how_to) == as_shown(how_to)


def test_other_output_is_noticed_on_either_stream(tmp_path: Path) -> None:
    how_to = page(tmp_path, "```sh\necho out; echo err >&2; exit_code=3\n```\n```text\nout\n```\n")
    assert went(tmp_path, how_to)[0].shown == "out\nerr"


def test_a_step_that_shows_nothing_must_succeed(tmp_path: Path) -> None:
    how_to = page(tmp_path, "```sh\necho why; false | cat\n```\n\n```sh\necho on\n```\n")
    assert went(tmp_path, how_to) == [Step("echo why; false | cat\n", "why")]


def test_a_step_that_shows_its_error_may_fail(tmp_path: Path) -> None:
    how_to = page(tmp_path, "```sh\necho no; false\n```\n```text\nno\n```\n\n```sh\ntrue\n```\n")
    assert went(tmp_path, how_to) == as_shown(how_to)


@pytest.mark.parametrize("text", ["```text\nno command\n```\n", "```python\nno name\n```\n"])
def test_a_block_that_is_none_of_them_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unreadable, match=r"page\.md, line 9: neither"):
        page(tmp_path, text)


def test_a_page_that_hands_something_over_must_start_a_server(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("```console\n$ export A=http://127.0.0.1:1 # a\n```\n")
    with pytest.raises(Unreadable, match="how to start the server"):
        read(tmp_path / "page.md")


def test_a_page_may_do_without_a_server(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("```sh\ntrue\n```\n")
    how_to = read(tmp_path / "page.md")
    assert how_to == HowTo(None, frozenset(), {}, {}, (Step("true\n", None),))
