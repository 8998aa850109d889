"""Files as users write them: what they say, and what is said of those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.user_files import BadFile, read_user_file


def read(folder: Path, text: str, name: str = "file.yaml") -> object:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_user_file(path).value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 012345678901", "012345678901"),
        ("a: 0x10", "0x10"),
        ("a: 1234e5678901", "1234e5678901"),
        ("a: 2012-10-17", "2012-10-17"),
        ("a: 12:30:45", "12:30:45"),
        ("a: no", "no"),
        ("a: 'true'", "true"),
        ("a: !!str true", "true"),
        ("a: true", True),
        ("a: False", False),
        ("a:", None),
        ("a: ~", None),
        ("a: ''", ""),
        ("a: |\n  two\n  lines\n", "two\nlines\n"),
        ("a: [1, [b], {c: d}, []]", ["1", ["b"], {"c": "d"}, []]),
        ("b: &one [x]\na: [*one, *one]", [["x"], ["x"]]),
        ("\ufeffa: x", "x"),
    ],
)
def test_plain_values_are_text_but_for_true_false_and_null(
    tmp_path: Path, text: str, value: object
) -> None:
    content = read(tmp_path, text)
    assert isinstance(content, dict)
    assert content["a"] == value


def test_names_are_text(tmp_path: Path) -> None:
    assert read(tmp_path, "true: 1\n~: 2\n007: 3") == {"true": "1", "~": "2", "007": "3"}


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("", None, "the file is empty"),
        ("# nothing\n", None, "the file is empty"),
        ("a: 1\nb: 2\na: 3", 3, "a: stands twice in one object"),
        ("a: 1\n---\nb: 2", 3, "a second document"),
        ("a:\n  - !!python/name:os.system x", 2, "python/name:os.system is not taken"),
        ("a: !!binary YWJj", 1, "binary is not taken"),
        ("a: !!set {x}", 1, "set is not taken"),
        ("a: &b {x: y}\nc:\n  <<: *b", 3, "merge keys (<<) are not taken"),
        ("a: &b [*b]", 1, "*b stands for no value before it"),
        ("a: *b", 1, "*b stands for no value before it"),
        ("? [x]\n: y", 1, "a name must be text"),
        ("a: [1\nb: 2", 2, "not YAML"),
        ("a:\n\t- x", 2, "not YAML"),
        ("a: \x07", None, "not YAML"),
        ("[" * 200, 1, "nested more than 100 levels deep"),
    ],
    ids=repr,
)
def test_what_is_wrong_with_yaml_has_a_line(
    tmp_path: Path, text: str, line: int | None, complaint: str
) -> None:
    with pytest.raises(BadFile) as caught:
        read(tmp_path, text)
    place = tmp_path / "file.yaml"
    assert str(caught.value).startswith(f"{place}:{'' if line is None else f'{line}:'} ")
    assert complaint in str(caught.value)


def test_all_that_stands_twice_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadFile) as caught:
        read(tmp_path, "a: 1\na: 2\nb: {c: 1, c: 2}")
    assert len(caught.value.problems) == 2


def test_aliases_that_multiply_are_stopped_before_they_are_written_out(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    with pytest.raises(BadFile, match="aliases written out"):
        read(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1,\n "b": }', ":2: not JSON: Expecting value"),
        ('{"a": 1, "a": 2}', ": a: stands twice in one object"),
        ('{"a": NaN}', ": NaN is no JSON value"),
        ("", ":1: not JSON"),
        ("a: 1", ":1: not JSON"),
        ("[" * 100_000, ": nested too deeply"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_wrong_with_json(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(BadFile) as caught:
        read(tmp_path, text, "file.json")
    assert str(caught.value).startswith(f"{tmp_path / 'file.json'}{complaint}")


def test_json_keeps_its_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, '{\t"a": 12}', "file.JSON") == {"a": 12}


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="cannot be read: No such file"):
        read_user_file(tmp_path / "absent.yaml")
    with pytest.raises(BadFile, match="cannot be read: Is a directory"):
        read_user_file(tmp_path)
    (tmp_path / "latin").write_bytes(b"a: \xe9")
    with pytest.raises(BadFile, match="byte 3 is not UTF-8"):
        read_user_file(tmp_path / "latin")


def test_a_problem_names_the_line_of_the_innermost_part_there_is(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a:\n  b:\n    - x\n    - y: 1\n")
    file = read_user_file(path)
    assert file.problem(("a", "b", 1, "y"), "no") == f"{path}:4: a.b[1].y: no"
    assert file.problem(("a", "b", 9, "y"), "no") == f"{path}:3: a.b[9].y: no"
    assert file.problem((), "no") == f"{path}:1: no"
