"""The document of `attested-kms hardware foreign-document`: a good one, under nobody's root."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kms_fake.document import read_cose_sign1, read_payload
from kms_fake.roots import aws_root
from simulator import cli

PCRS = [f"{index}{index}" * 48 for index in (1, 2, 3)]
WORDS = [word for index, pcr in enumerate(PCRS) for word in (f"--pcr{index}", pcr)]


def test_it_attests_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["hardware", "foreign-document", *WORDS]) == 0
    document = base64.b64decode(capsys.readouterr().out, validate=False)
    payload = read_payload(read_cose_sign1(document).payload)
    assert [payload.pcrs[index].hex() for index in range(3)] == PCRS
    assert payload.public_key is not None
    assert len(payload.public_key) == 294
    assert payload.cabundle[0] != aws_root().public_bytes(Encoding.DER)


@pytest.mark.parametrize("wrong", ["", "11", "zz" * 48, "11" * 49, f"{'11' * 47} 1"])
def test_what_is_no_pcr(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["hardware", "foreign-document", *WORDS[:-1], wrong]) == 2
    assert "--pcr2 takes 96 hexadecimal digits" in capsys.readouterr().err
