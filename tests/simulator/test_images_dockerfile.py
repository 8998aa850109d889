"""Reading Dockerfiles."""

from __future__ import annotations

import pytest

from simulator.images.dockerfile import BadDockerfile, Heredoc, Words, parse_dockerfile

EXAMPLE = r"""# syntax=docker/dockerfile:1
# escape=\

FROM --platform=linux/amd64 alpine:3 AS build
run apk add \
    # a comment between
    curl \

    jq
COPY --from=build --chown=1:2 ["a b", "/c"]
CMD ['/app']
ENTRYPOINT [ "/init", "--x" ]
HEALTHCHECK --interval=5s CMD ["/check"]
COPY <<EOF <<-"RAW" /etc/
one $A
EOF
	two $A
	RAW
USER	nobody
"""


def test_instructions_have_their_lines_flags_and_forms() -> None:
    found = parse_dockerfile(EXAMPLE)
    assert found.directives == {"syntax": "docker/dockerfile:1", "escape": "\\"}
    assert [(one.keyword, one.line) for one in found.instructions] == [
        *(("FROM", 4), ("RUN", 5), ("COPY", 10), ("CMD", 11)),
        *(("ENTRYPOINT", 12), ("HEALTHCHECK", 13), ("COPY", 14), ("USER", 19)),
    ]
    source, run, copy, single, init, health, here, user = found.instructions
    assert (source.flag("platform"), source.arguments) == ("linux/amd64", "alpine:3 AS build")
    assert run.arguments.split() == ["apk", "add", "curl", "jq"]
    assert run.original.splitlines() == EXAMPLE.splitlines()[4:9]
    assert copy.flags == (("from", "build"), ("chown", "1:2"))
    assert copy.exec_form == ("a b", "/c")
    assert (single.exec_form, init.exec_form) == (None, ("/init", "--x"))
    assert (health.exec_form, health.flag("interval")) == (("/check",), "5s")
    assert here.heredocs == (Heredoc("EOF", "one $A\n", True), Heredoc("RAW", "two $A\n", False))
    assert user.arguments == "nobody"


def test_the_escape_character_can_be_another() -> None:
    found = parse_dockerfile("# escape=`\nFROM a\nCOPY a `\n  c:\\dir\\\n")
    assert found.instructions[1].arguments == "a   c:\\dir\\"


def test_a_comment_after_the_first_instruction_is_no_directive() -> None:
    found = parse_dockerfile("FROM a\n# escape=`\nCOPY a \\\n b")
    assert found.instructions[1].arguments == "a  b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Dockerfile:1: there is no instruction"),
        ("# only\n", "no instruction"),
        ("FROM a\nFORM b\n", "Dockerfile:2: there is no instruction FORM"),
        ("FROM a\n\nCMD\n", "Dockerfile:3: CMD needs an argument"),
        ("# escape=x\nFROM a", r"escape character is \\ or `"),
        ("FROM a\nCOPY <<EOF /x\nabc", "Dockerfile:2: <<EOF has no end"),
        ("A" * 2_000_000, "no more than 1048576"),
    ],
)
def test_what_is_no_dockerfile_is_said_with_its_line(text: str, said: str) -> None:
    with pytest.raises(BadDockerfile, match=said):
        parse_dockerfile(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("$A/${B}x", ["1/x"]),
        ("'$A' \"$A c\"", ["$A", "1 c"]),
        (r"\$A a\ b", ["$A", "a b"]),
        (r'"\a\"\$"', [r'\a"$']),
        ("${A:-x} ${B:-x} ${B-x} ${C:-${A}}", ["1", "x", "", "1"]),
        ("${A:+x} ${B:+x} ${B+x} ${C+x}", ["x", "", "x", ""]),
        ("$ $- 5$", ["$", "$-", "5$"]),
        ('NAME="two words"', ["NAME=two words"]),
    ],
)
def test_words_are_replaced_as_docker_does(text: str, words: list[str]) -> None:
    assert Words({"A": "1", "B": ""}).split(text) == words


@pytest.mark.parametrize("text", ["${A", "${}", "${A!x}", "${C:?no C}", "'x"])
def test_what_cannot_be_replaced_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"no end|names no|not a replacement|C has no value: no C"):
        Words({"A": "1"}).split(text)
