"""Dockerfiles that are built without an engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from simulator.images import BadImage, ContainerImage, open_image
from simulator.images.builder import build_dockerfile
from simulator.images.folders import MTIME
from tests.simulator.image_archives import folder, layer, member, saved, symlink, write_files

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Images:
    """One base image, as busybox is: with a command of its own."""

    def __init__(self, at: Path) -> None:
        files = layer(folder("bin"), member("bin/sh", b"sh", mode=0o755), symlink("lib", "bin"))
        config = {"Cmd": ["sh"], "Env": ["PATH=/bin", "A=base"], "WorkingDir": "/srv"}
        self._image = open_image(saved(at / "base.tar", files, config=config))

    def find(self, uri: str) -> ContainerImage | None:
        return self._image if uri == "busybox:1" else None


def build(
    at: Path, dockerfile: str, files: Mapping[str, bytes] | None = None, **arguments: str
) -> ContainerImage:
    context = at / "context"
    write_files(context, {"app": b"app", "dir/one": b"1", "dir/sub/two": b"2"} | dict(files or {}))
    (context / "Dockerfile").write_text(dockerfile)
    return build_dockerfile(context, Images(at), arguments=arguments)


def files_of(image: ContainerImage) -> dict[str, bytes]:
    return {entry.path: entry.read() for entry in image.entries() if entry.content is not None}


def test_every_instruction_but_run_is_followed(tmp_path: Path) -> None:
    image = build(
        tmp_path,
        r"""
ARG BASE=busybox
FROM ${BASE}:1 AS first
FROM first
MAINTAINER somebody
ARG VERSION=1
ENV A=1 B="two words" C=$VERSION
ENV OLD the rest of   the line
LABEL a=b "c d"=e
WORKDIR sub
COPY app dir/one ./
COPY --chmod=755 --chown=5:6 app /bin/app
USER nobody
EXPOSE 80 53/udp
VOLUME /data ["x"]
STOPSIGNAL SIGINT
HEALTHCHECK --interval=1s CMD curl localhost
SHELL ["/bin/bash", "-c"]
ONBUILD RUN true
ENTRYPOINT ["/bin/app"]
CMD exec $B
""",
    )
    config = image.config
    assert config.env == ("PATH=/bin", "A=1", "B=two words", "C=1", "OLD=the rest of   the line")
    assert config.labels == {"a": "b", "c d": "e"}
    assert (config.working_dir, config.user) == ("/srv/sub", "nobody")
    assert config.exposed_ports == ("80/tcp", "53/udp")
    assert config.healthcheck == {"Test": ["CMD-SHELL", "curl localhost"]}
    assert (config.entrypoint, config.cmd) == (("/bin/app",), ("/bin/bash", "-c", "exec $B"))
    assert files_of(image) == {
        "bin/app": b"app",
        "bin/sh": b"sh",
        "srv/sub/app": b"app",
        "srv/sub/one": b"1",
    }
    app = image.find("/bin/app")
    assert app is not None
    assert (app.mode, app.uid, app.gid, app.mtime) == (0o755, 5, 6, MTIME)


@pytest.mark.parametrize(
    ("lines", "command"),
    [
        ('CMD ["/app"]', ("/app",)),
        ("CMD /app", ("/bin/sh", "-c", "/app")),
        # An ENTRYPOINT clears the base image's CMD ...
        ('ENTRYPOINT ["/app"]', ("/app",)),
        # ... not one that this stage has set, and CMD wins: bug 1.
        ('CMD ["--x"]\nENTRYPOINT ["/app"]', ("--x",)),
        ('ENTRYPOINT ["/app"]\nCMD ["--x"]', ("--x",)),
        ('ENTRYPOINT ["/app"]\nCMD []', ("/app",)),
        ("ENV X=1", ("sh",)),
    ],
)
def test_the_command_is_what_nitro_cli_makes_of_it(
    lines: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    assert build(tmp_path, f"FROM busybox:1\n{lines}\n").config.command == command


def test_stages_are_copied_from(tmp_path: Path) -> None:
    image = build(
        tmp_path,
        """\
FROM scratch AS files
COPY dir /data/
FROM scratch
COPY --from=files /data/sub /
COPY --from=0 /data/one /renamed
COPY --from=busybox:1 /lib/sh /links/
ADD *p none*/../app /all/
COPY <<"ONE" <<TWO /here/
$HOME
ONE
$PATH
TWO
""",
    )
    assert image.config.env == (DEFAULT_PATH,)
    assert files_of(image) == {
        "all/app": b"app",
        "here/ONE": b"$HOME\n",
        "here/TWO": DEFAULT_PATH.encode()[5:] + b"\n",
        "links/sh": b"sh",
        "renamed": b"1",
        "two": b"2",
    }


def test_dockerignore_is_honoured(tmp_path: Path) -> None:
    ignore = b"# comment\n*\n!dir\ndir/sub\n**/*.log\n!/app\n"
    files = {".dockerignore": ignore, "dir/x.log": b"", "deep/y": b"", ".git/config": b""}
    image = build(tmp_path, "FROM scratch\nCOPY . /\n", files)
    assert list(files_of(image)) == ["app", "dir/one"]
    with pytest.raises(BadImage, match=r"Dockerfile:2: there is no deep/y .*\.dockerignore"):
        build(tmp_path, "FROM scratch\nCOPY deep/y /\n")


def test_the_same_files_make_the_same_image(tmp_path: Path) -> None:
    text = "FROM scratch\nCOPY . /\nWORKDIR /w\nCMD ['x']\n"
    one, two = (build(tmp_path / name, text) for name in ("one", "two"))
    assert one.identifier == two.identifier


def test_arguments_are_given(tmp_path: Path) -> None:
    text = "ARG V=1\nFROM scratch\nARG V\nARG W=w\nARG X\nLABEL v=$V w=$W x=[$X]\n"
    assert build(tmp_path, text, V="2", W="3").config.labels == {"v": "2", "w": "3", "x": "[]"}


@pytest.mark.parametrize(
    ("dockerfile", "said"),
    [
        ("FROM scratch\nRUN make\n", r"Dockerfile:2: RUN .* Docker engine.*`docker save`"),
        ("FROM alpine:3\n", r"Dockerfile:1: there is no image alpine:3 here.*docker save alpine:3"),
        ("COPY a b\nFROM scratch\n", "Dockerfile:1: COPY stands before the first FROM"),
        ("ARG A\n", "there is no FROM"),
        ("FROM a b c\n", "FROM takes an image"),
        ("FROM scratch\nCOPY app\n", "Dockerfile:2: COPY needs a source and a target"),
        ("FROM scratch\nCOPY missing /\n", "there is no missing to copy"),
        ("FROM scratch\nCOPY ../../etc/passwd /\n", "there is no ../../etc/passwd to copy"),
        ("FROM scratch\nCOPY out/passwd /\n", "there is no out/passwd to copy"),
        ("FROM scratch\nCOPY --from=x a /\n", "no stage and no image x"),
        ("FROM scratch\nCOPY --chown=me app /\n", "only numbers"),
        ("FROM scratch\nCOPY --chmod=9 app /\n", "no octal number"),
        ("FROM scratch\nADD https://example.com/x /\n", "needs the network"),
        ("FROM scratch\nADD app.tar /\n", "unpack and COPY it"),
        ("FROM scratch\nENV A=1 B\n", "B is not of the form NAME=VALUE"),
        ("FROM scratch\nENV A=${B\n", "Dockerfile:2: .* has no end"),
        ("FROM scratch\nSHELL /bin/sh\n", "SHELL needs the form"),
    ],
)
def test_what_cannot_be_built_is_said_with_its_line(
    dockerfile: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/out").symlink_to("/etc")
    with pytest.raises(BadImage, match=said):
        build(tmp_path, dockerfile, {"app.tar": b""})


def test_a_missing_dockerfile_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match=r"cannot read .*Dockerfile: No such file"):
        build_dockerfile(tmp_path, Images(tmp_path))
