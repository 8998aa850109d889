"""`attested-kms eif` as a user runs it: output, exit codes, messages."""

from __future__ import annotations

import datetime as dt
import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nsm_fake.eif import Eif, Signer, certificate_pcr, file_pcr, measure
from simulator import cli
from simulator.eif_report import NotShown, describe
from tests.nsm_fake.eif_images import (
    certificate,
    image,
    metadata,
    patched,
    pem_of_key,
    private_key,
)

Run = Callable[..., tuple[int, str, str]]

NOW = dt.datetime.now(dt.UTC)
YEAR = dt.timedelta(days=365)
PEM = "--signing-certificate", "certificate.pem", "--private-key", "key.pem"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `attested-kms eif`; gives exit code, standard output and standard error."""

    def command(*words: str | Path) -> tuple[int, str, str]:
        code = cli.main(["eif", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image, and a certificate with its key."""
    monkeypatch.chdir(tmp_path)
    image(tmp_path / "image.eif")
    key = private_key()
    (tmp_path / "key.pem").write_bytes(pem_of_key(key))
    (tmp_path / "certificate.pem").write_bytes(certificate(key, begin=NOW - YEAR, end=NOW + YEAR))
    return tmp_path


def test_describe_prints_what_nitro_cli_prints(folder: Path, run: Run) -> None:
    custom = {"commit": "4e2d1bf", "BuildTool": "mine"}
    image(folder / "image.eif", told=metadata(docker_info={"Id": "sha256:1"}, custom=custom))
    assert run("sign", "image.eif", *PEM)[0] == 0
    code, out, err = run("describe", "image.eif")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert list(told) == [
        "EifVersion",
        "Measurements",
        "IsSigned",
        "SigningCertificate",
        "CheckCRC",
        "SignatureCheck",
        "ImageName",
        "ImageVersion",
        "Metadata",
    ]
    assert told["Measurements"] == {
        "HashAlgorithm": "Sha384 { ... }",
        **measure(folder / "image.eif").as_hex(),
    }
    assert told["SigningCertificate"]["IssuerName"] == {
        "commonName": "image signing",
        "countryName": "DE",
        "organizationName": "Tests & Söhne",
    }
    assert told["SigningCertificate"]["Algorithm"] == "ecdsa-with-SHA384"
    assert (told["CheckCRC"], told["SignatureCheck"]) == (True, True)
    # Custom metadata stand among AWS's own, and a name may stand twice.
    assert out.count('"BuildTool": ') == 2
    assert told["Metadata"]["commit"] == "4e2d1bf"
    assert out.endswith('    "commit": "4e2d1bf"\n  }\n}\n')


def test_the_hash_has_another_name_in_1_5_0(folder: Path, run: Run) -> None:
    out = run("describe", folder / "image.eif", "--nitro-cli-version", "1.5.0")[1]
    assert json.loads(out)["Measurements"]["HashAlgorithm"] == "Sha512_48 { .. }"
    assert list(json.loads(out)) == [
        "EifVersion",
        "Measurements",
        "IsSigned",
        "CheckCRC",
        "ImageName",
        "ImageVersion",
        "Metadata",
    ]


def test_describe_shows_a_wrong_checksum_and_verify_fails_for_it(folder: Path, run: Run) -> None:
    patched(folder / "image.eif", (folder / "image.eif").stat().st_size - 1, b"?")
    code, out, _ = run("describe", "image.eif")
    assert (code, json.loads(out)["CheckCRC"]) == (0, False)
    code, out, err = run("verify", "image.eif")
    assert (code, err) == (1, "")
    checksum, signature = out.splitlines()
    assert checksum.startswith("checksum: wrong: it is ")
    assert signature == "signature: none, the image is not signed"


def test_verify_says_which_is_wrong(folder: Path, run: Run) -> None:
    run("sign", "image.eif", *PEM)
    assert run("verify", "image.eif") == (0, "checksum: right\nsignature: right\n", "")
    eif = Eif.open(folder / "image.eif")
    patched(eif.path, eif.ramdisks[1].content, b"T")
    assert json.loads(run("describe", "image.eif")[1])["SignatureCheck"] is False
    code, out, _ = run("verify", "image.eif")
    assert code == 1
    assert "signature: wrong: what was signed is the PCR0 of another image\n" in out


def test_sign_prints_the_pcrs(folder: Path, run: Run) -> None:
    code, out, err = run("sign", "image.eif", *PEM)
    assert (code, err) == (0, "Enclave Image successfully signed.\n")
    pcr8 = certificate_pcr((folder / "certificate.pem").read_bytes()).hex()
    assert json.loads(out)["Measurements"]["PCR8"] == pcr8


@pytest.mark.parametrize(
    ("begin", "end", "says"),
    [
        (NOW - 2 * YEAR, NOW - YEAR, "the signing certificate expired at"),
        (NOW + YEAR, NOW + 2 * YEAR, "the signing certificate is not valid before"),
    ],
)
def test_sign_refuses_a_certificate_out_of_its_time(
    folder: Path, run: Run, begin: dt.datetime, end: dt.datetime, says: str
) -> None:
    key = private_key()
    (folder / "key.pem").write_bytes(pem_of_key(key))
    (folder / "certificate.pem").write_bytes(certificate(key, begin=begin, end=end))
    before = (folder / "image.eif").read_bytes()
    code, out, err = run("sign", "image.eif", *PEM)
    assert (code, out) == (1, "")
    assert says in err
    assert (folder / "image.eif").read_bytes() == before
    assert run("sign", "image.eif", *PEM, "--anyway")[0] == 0
    code, out, _ = run("verify", "image.eif")
    assert code == 1
    assert f"signature: wrong: {says}" in out


def test_sign_refuses_a_certificate_of_another_key(folder: Path, run: Run) -> None:
    (folder / "key.pem").write_bytes(pem_of_key(private_key(ec.SECP256R1())))
    code, _, err = run("sign", "image.eif", *PEM)
    assert code == 1
    assert "since the certificate belongs to another private key: nitro-cli sign-eif would" in err
    assert run("sign", "image.eif", *PEM, "--anyway")[0] == 0
    code, _, err = run("describe", "image.eif")
    assert code == 1
    assert "not made with the key of the certificate beside it" in err
    assert run("verify", "image.eif")[0] == 1


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """As a full disk has it: a file cannot grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_image_as_it_was(folder: Path, run: Run) -> None:
    path = folder / "image.eif"
    image(path, ramdisks=[b"boot", bytes(100_000)])
    before = path.read_bytes()
    names = sorted(entry.name for entry in folder.iterdir())
    with longest_file(50_000):
        code, out, err = run("sign", "image.eif", *PEM)
    assert (code, out) == (1, "")
    assert err == (
        "attested-kms eif sign: image.eif cannot be replaced (File too large); it is as it was.\n"
    )
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in folder.iterdir()) == names


def test_pcr_of_a_file_and_of_a_certificate(folder: Path, run: Run) -> None:
    code, out, _ = run("pcr", "--input", "image.eif")
    assert (code, json.loads(out)) == (0, {"PCR": file_pcr(folder / "image.eif").hex()})
    pem = folder / "certificate.pem"
    code, out, _ = run("pcr", "--signing-certificate", pem)
    assert (code, json.loads(out)) == (0, {"PCR8": certificate_pcr(pem.read_bytes()).hex()})


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("describe", "nowhere.eif"), "nowhere.eif cannot be read: No such file or directory."),
        (("verify", "key.pem"), "key.pem is no enclave image: it has only"),
        (("describe", "."), ". cannot be read: Is a directory."),
        (("pcr", "--input", "nowhere"), "nowhere cannot be read"),
        (("pcr", "--signing-certificate", "key.pem"), "The signing certificate does not read"),
        (("pcr", "--signing-certificate", "nowhere"), "nowhere cannot be read"),
        (
            ("sign", "image.eif", PEM[0], "key.pem", PEM[2], PEM[3]),
            "The signing certificate does not read",
        ),
        (("sign", "image.eif", PEM[0], PEM[1], PEM[2], PEM[1]), "The private key does not read"),
        (("sign", "key.pem", *PEM), "key.pem is no enclave image"),
    ],
)
def test_what_cannot_be_read_is_named(
    folder: Path, run: Run, words: tuple[str, ...], says: str
) -> None:
    assert folder.is_dir()
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"attested-kms eif {words[0]}: ")
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("custom", "kind"), [([1], "a sequence"), ("x", "a string"), (True, "a boolean")]
)
def test_custom_metadata_that_are_no_object_cannot_be_shown(
    folder: Path, custom: object, kind: str
) -> None:
    image(folder / "image.eif", told=metadata(custom=custom))
    with pytest.raises(NotShown) as raised:
        describe(folder / "image.eif")
    text = f'Error("can only flatten structs and maps (got {kind})", line: 0, column: 0)'
    assert raised.value.real_text == text


def test_the_issuer_is_shown_as_rust_shows_a_text(folder: Path) -> None:
    key = private_key()
    pem = certificate(key, organization='a "b" \\ \x07')
    image(folder / "image.eif", signer=Signer.load(pem, pem_of_key(key)))
    told = dict(dict(describe(folder / "image.eif"))["SigningCertificate"])
    assert dict(told["IssuerName"])["organizationName"] == "a \\b\\ \\\\ \\u{7}"
