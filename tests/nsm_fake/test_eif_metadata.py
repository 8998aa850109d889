"""Metadata as AWS's builder writes them, byte for byte, and what its reader refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nsm_fake.eif import (
    EifBadMetadata,
    EifUnwritable,
    encode_metadata,
    kernel_identity,
    read_custom_metadata,
)
from nsm_fake.eif.json_text import Members, read_json, write_compact, write_pretty
from nsm_fake.eif.metadata import parse_metadata
from tests.nsm_fake.eif_images import metadata


def test_members_stand_in_the_order_of_aws_types() -> None:
    told = metadata(
        name='a "name" é\x01', docker_info={"b": [1], "a": None}, custom={"z": 0.1, "Z": {}}
    )
    shuffled = dict(reversed(told.items()))
    assert encode_metadata(shuffled).decode() == (
        r'{"ImageName":"a \"name\" é\u0001","ImageVersion":"1.0","BuildMetadata":{'
        '"BuildTime":"2026-01-27T19:10:11.123456789+00:00","BuildTool":"attested-kms",'
        '"BuildToolVersion":"0.1.0","OperatingSystem":"Linux","KernelVersion":"4.14.256"},'
        '"DockerInfo":{"a":null,"b":[1]},"CustomMetadata":{"Z":{},"z":0.1}}'
    )
    assert parse_metadata(encode_metadata(told), where="x") == told


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1.0", "1.0"),
        ("-0", "-0.0"),
        ("0.00001", "0.00001"),
        ("1e-6", "1e-6"),
        ("1.5e-7", "1.5e-7"),
        ("1e15", "1000000000000000.0"),
        ("1e16", "1e16"),
        ("-123.456", "-123.456"),
        ("1.7976931348623157e308", "1.7976931348623157e308"),
        ("5e-324", "5e-324"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e19"),
        ("-9223372036854775809", "-9.223372036854776e18"),
        ("true", "true"),
        ('"\\ud83d\\ude00/\\u007f"', '"😀/\x7f"'),
    ],
)
def test_values_are_written_as_serde_json_writes_them(text: str, written: str) -> None:
    assert write_compact(read_json(text.encode())).decode() == written


def test_pretty_text_is_indented_by_two_spaces() -> None:
    value = Members((("a", []), ("a", {}), ("b", [1, {"c": None}])))
    assert write_pretty(value) == (
        '{\n  "a": [],\n  "a": {},\n  "b": [\n    1,\n    {\n      "c": null\n    }\n  ]\n}'
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON: Expecting value"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b"{}x", "Extra data"),
        (b"NaN", "NaN is no JSON value"),
        (b"1e400", "out of range"),
        (b"9" * 5000, "out of range"),
        (rb'"\ud800"', "stands alone"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" * 128 + b"]" * 128, "more than 127 levels"),
        (b"[]", "no JSON object"),
        (b'{"ImageName":"x","ImageVersion":"1"}', "BuildMetadata is missing"),
        (b'{"BuildMetadata":{"BuildTime":1}}', "ImageName, ImageVersion, BuildTime, BuildTool"),
    ],
)
def test_metadata_that_are_none_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(EifBadMetadata, match=says):
        parse_metadata(data, where="image.eif")


def test_metadata_without_docker_info_are_none() -> None:
    told = metadata()
    del told["DockerInfo"]
    with pytest.raises(EifBadMetadata, match="DockerInfo missing"):
        parse_metadata(write_compact(told), where="image.eif")


def test_nesting_up_to_the_limit_is_read() -> None:
    assert write_compact(read_json(b"[" * 127 + b"]" * 127)) == b"[" * 127 + b"]" * 127


@pytest.mark.parametrize("value", [{"commit": "4e2d1bf"}, [1], None])
def test_custom_metadata_are_any_json(tmp_path: Path, value: Any) -> None:
    file = tmp_path / "metadata.json"
    file.write_bytes(write_compact(value))
    assert read_custom_metadata(file) == value


@pytest.mark.parametrize(
    ("content", "real_text"),
    [
        (None, "Specified path is not a file"),
        (b"1" * 4097, "Metadata file size exceeded limit of 4096B"),
        (b"{", None),
    ],
)
def test_custom_metadata_that_cannot_be_taken(
    tmp_path: Path, content: bytes | None, real_text: str | None
) -> None:
    file = tmp_path / "metadata.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(EifBadMetadata) as raised:
        read_custom_metadata(file)
    assert raised.value.real_text == real_text


@pytest.mark.parametrize(
    ("third", "expected"),
    [
        (
            "# Linux/x86_64 4.14.256-209.484.amzn2.x86_64 Kernel Configuration",
            ("Linux", "4.14.256"),
        ),
        ("# Linux/arm64 6.6.79 Kernel Configuration", ("Linux", "6.6.79")),
        ("#", ("Unknown", "Unknown")),
    ],
)
def test_the_kernel_is_named_by_its_configuration(third: str, expected: tuple[str, str]) -> None:
    assert kernel_identity(f"#\n# Automatically generated file\n{third}\n#\n") == expected


def test_a_configuration_without_a_third_line_names_no_kernel() -> None:
    with pytest.raises(EifUnwritable, match="less than three lines"):
        kernel_identity("#\n")
