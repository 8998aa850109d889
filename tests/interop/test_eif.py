"""Enclave image files against AWS's own library: both read, measure, sign and verify the other's.

The library is the crate aws-nitro-enclaves-image-format from the package index, or, where the
index does not have it, the checkout that ATTESTED_KMS_EIF_FORMAT names.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nsm_fake.eif import (
    Eif,
    EifError,
    Measurements,
    Reading,
    SectionType,
    Signer,
    check_before_boot,
    measure,
    sign_eif,
    verify_signature,
    write_eif,
)
from simulator.eif_report import certificate_members
from simulator.nitro_cli.versions import HASH_ALGORITHMS
from tests.interop.enclave_programs import PROGRAMS, built, need
from tests.nsm_fake.eif_images import certificate, metadata, patched, pem_of_key, private_key

CHECKOUT = "ATTESTED_KMS_EIF_FORMAT"
SOURCE = PROGRAMS / "rust-eif"
CRATE = "aws-nitro-enclaves-image-format"

pytestmark = pytest.mark.timeout(1800)  # The AWS SDK for signing by KMS compiles for minutes.

NOW = dt.datetime.now(dt.UTC)
YEAR = dt.timedelta(days=365)

Judge = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Asks AWS's library: `judge("describe", path)`."""
    need("cargo", "gcc")
    target = tmp_path_factory.mktemp("eif-judge")
    folder, locked = _project(target)
    environment = {"CARGO_TARGET_DIR": str(target / "target")}
    built("cargo", "build", "--quiet", *locked, folder=folder, environment=environment)
    program = target / "target" / "debug" / "eif-judge"

    def ask(*words: str | Path) -> dict[str, Any]:
        command = [str(program), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return ask


def _project(target: Path) -> tuple[Path, tuple[str, ...]]:
    """The judge's folder, and cargo's option for its lock file. Skips where there is no library."""
    checkout = os.environ.get(CHECKOUT)
    fetch = ("cargo", "fetch", "--quiet", "--locked")
    if checkout is None:
        fetched = subprocess.run(fetch, cwd=SOURCE, capture_output=True, text=True, check=False)
        if fetched.returncode != 0:
            pytest.skip(
                f"cargo does not get {CRATE} from the package index, and {CHECKOUT} names no "
                f"checkout of it: {fetched.stderr.strip().splitlines()[-1:]}"
            )
        return SOURCE, ("--locked",)
    folder = target / "source"
    shutil.copytree(SOURCE, folder)
    manifest = (folder / "Cargo.toml").read_text()
    sha2 = re.search(r'^sha2 = ".*"$', Path(checkout, "Cargo.toml").read_text(), re.MULTILINE)
    assert sha2 is not None
    manifest = re.sub(rf"(?m)^{CRATE} = .*$", f'{CRATE} = {{ path = "{checkout}" }}', manifest)
    (folder / "Cargo.toml").write_text(re.sub(r"(?m)^sha2 = .*$", sha2[0], manifest))
    return folder, ()


@dataclass(frozen=True, slots=True)
class Case:
    """One image."""

    kernel: bytes = b"a kernel"
    cmdline: str = "reboot=k panic=30 pci=off nomodules console=ttyS0"
    ramdisks: tuple[bytes, ...] = (b"init and nsm.ko", b"rootfs, cmd and env")
    told: Mapping[str, Any] | None = None
    arm64: bool = False
    curve: ec.EllipticCurve | None = None


CUSTOM = {
    "zero": -0.0,
    "float": [0.1, 1e16, 1.5e-7, 5e-324, 1e15, 123456.789],
    "big": 18446744073709551615,
    "commit": '4e2d1bf "é" 😀\n\x01\x7f',
    "Nested": {"b": {}, "a": [None, True, []]},
}
CASES = {
    "as nitro-cli builds it": Case(),
    "one ramdisk": Case(kernel=b"another", cmdline="", ramdisks=(b"all in one",)),
    "four ramdisks, one empty": Case(ramdisks=(b"", b"a" * 70_000, b"b", b"c" * 1_100_000)),
    "arm64": Case(arm64=True, cmdline="root=/dev/ram0 random.trust_cpu=on"),
    "metadata": Case(told=metadata(name='"n"', docker_info={"b": 1, "a": [{}]}, custom=CUSTOM)),
    "signed, P-256": Case(curve=ec.SECP256R1()),
    "signed, P-384": Case(curve=ec.SECP384R1(), arm64=True),
    "signed, P-521": Case(curve=ec.SECP521R1(), ramdisks=(b"all in one",)),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """The same image by both, and what each says that its PCRs are."""

    theirs: Path
    ours: Path
    told_by_theirs: dict[str, str]
    told_by_ours: Measurements


@pytest.fixture(scope="module")
def pairs(judge: Judge, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    return {
        name: _pair(case, judge, tmp_path_factory.mktemp("images")) for name, case in CASES.items()
    }


@pytest.fixture(params=CASES)
def pair(request: pytest.FixtureRequest, pairs: dict[str, Pair]) -> Pair:
    return pairs[request.param]


def _pair(case: Case, judge: Judge, folder: Path) -> Pair:
    theirs, ours = folder / "theirs.eif", folder / "ours.eif"
    ramdisks = [folder / f"ramdisk-{number}" for number in range(len(case.ramdisks))]
    for path, content in zip(ramdisks, case.ramdisks, strict=True):
        path.write_bytes(content)
    (folder / "kernel").write_bytes(case.kernel)
    told = metadata() if case.told is None else dict(case.told)
    spec = {
        "kernel": str(folder / "kernel"),
        "cmdline": case.cmdline,
        "ramdisks": list(map(str, ramdisks)),
        "flags": int(case.arm64),
        "metadata": told,
        "output": str(theirs),
    }
    signer = None
    if case.curve is not None:
        signer, files = signing(folder, case.curve)
        spec |= {"certificate": str(files[0]), "key": str(files[1])}
    (folder / "spec.json").write_text(json.dumps(spec))
    by_theirs = judge("build", folder / "spec.json")
    with ours.open("w+b") as file:
        by_ours = write_eif(
            file,
            kernel=folder / "kernel",
            cmdline=case.cmdline.encode(),
            ramdisks=ramdisks,
            metadata=told,
            arm64=case.arm64,
            signer=signer,
        )
    return Pair(theirs, ours, by_theirs, by_ours)


def signing(
    folder: Path,
    curve: ec.EllipticCurve,
    *,
    begin: dt.datetime = NOW - YEAR,
    end: dt.datetime = NOW + YEAR,
) -> tuple[Signer, tuple[Path, Path]]:
    """A certificate and its key, as values and as files."""
    key = private_key(curve)
    pem = certificate(key, begin=begin, end=end)
    files = folder / f"{curve.name}-certificate.pem", folder / f"{curve.name}-key.pem"
    for path, text in zip(files, (pem, pem_of_key(key)), strict=True):
        path.write_bytes(text)
    return Signer.load(pem, pem_of_key(key)), files


def pcrs(told: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in told.items() if name != "HashAlgorithm"}


def test_we_measure_theirs_as_they_do(pair: Pair) -> None:
    assert measure(pair.theirs).as_hex() == pcrs(pair.told_by_theirs)
    Eif.open(pair.theirs).check_crc()
    report = verify_signature(pair.theirs)
    assert (report is not None) == ("PCR8" in pair.told_by_theirs)
    assert report is None or report.defects(NOW) == ()
    check_before_boot(pair.theirs, NOW)


def test_they_measure_ours_as_we_do(pair: Pair, judge: Judge) -> None:
    said = judge("describe", pair.ours)
    signed = pair.told_by_ours.pcr8 is not None
    assert pcrs(said["measurements"]) == pair.told_by_ours.as_hex()
    assert said["measurements"]["HashAlgorithm"] in HASH_ALGORITHMS.values()
    assert (said["version"], said["crc"]) == (4, True)
    assert said["signature"] is (True if signed else None)
    assert said["metadata"] == Eif.open(pair.ours).metadata()
    assert judge("check", pair.ours) == {"signed": signed}


def test_the_files_are_the_same_but_for_the_signatures(pair: Pair) -> None:
    """ECDSA is random, and so is the length of numbers in CBOR: how long a signature is."""
    if pair.told_by_ours.pcr8 is None:
        assert pair.theirs.read_bytes() == pair.ours.read_bytes()
        return
    theirs, ours = Eif.open(pair.theirs), Eif.open(pair.ours)
    assert theirs.header.section_offsets == ours.header.section_offsets
    for one, other in zip(theirs.sections, ours.sections, strict=True):
        assert (one.type, one.offset) == (other.type, other.offset)
        if one.type is not SectionType.SIGNATURE:
            assert theirs.read(one) == ours.read(other)


def test_a_certificate_is_shown_as_they_show_it(pairs: dict[str, Pair], judge: Judge) -> None:
    for pair in pairs.values():
        report = verify_signature(pair.ours)
        if report is not None:
            shown = {
                name: dict(value) if isinstance(value, dict) else value
                for name, value in certificate_members(report.certificate)
            }
            assert judge("describe", pair.ours)["certificate"] == shown


def test_each_signs_and_signs_again_what_the_other_signed(
    pairs: dict[str, Pair], judge: Judge, tmp_path: Path
) -> None:
    plain = pairs["as nitro-cli builds it"]
    keys = [signing(tmp_path, curve) for curve in (ec.SECP256R1(), ec.SECP521R1())]
    for number, ours_first in enumerate((True, False)):
        image = tmp_path / f"{number}.eif"
        shutil.copy(plain.theirs, image)
        first = None
        for (signer, files), by_us in zip(keys, (ours_first, not ours_first), strict=True):
            if by_us:
                measured = sign_eif(image, signer).as_hex()
            else:
                measured = pcrs(judge("sign", image, *files))
            assert measured == measure(image).as_hex()
            assert judge("describe", image)["signature"] is True
            report = verify_signature(image)
            assert report is not None
            assert report.defects(NOW) == ()
            Eif.open(image).check_crc()
            # Whoever signs again leaves the size of the first signature in the header.
            sizes = Eif.open(image).header.section_sizes
            first = first or sizes
            assert sizes == first


def test_both_refuse_the_same_signatures(
    pairs: dict[str, Pair], judge: Judge, tmp_path: Path
) -> None:
    image = tmp_path / "image.eif"
    plain = pairs["as nitro-cli builds it"].ours
    old = signing(tmp_path, ec.SECP256R1(), begin=NOW - 2 * YEAR, end=NOW - YEAR)[0]
    early = signing(tmp_path, ec.SECP384R1(), begin=NOW + YEAR, end=NOW + 2 * YEAR)[0]
    foreign = Signer.load(old.certificate_pem, pem_of_key(private_key(ec.SECP256R1())))
    for signer, text in (
        (old, "The signing certificate is expired"),
        (early, "The signing certificate is expired"),
        (foreign, "The EIF signature is not valid"),
    ):
        shutil.copy(plain, image)
        sign_eif(image, signer)
        with pytest.raises(EifError) as raised:
            check_before_boot(image, NOW)
        assert judge("check", image)["error"] == raised.value.real_text == text
    assert judge("describe", image)["error"] == (
        "Failed to get signature payload: UnverifiedSignature"
    )
    shutil.copy(pairs["signed, P-256"].ours, image)
    patched(image, Eif.open(image).kernel.content, b"?")
    said = judge("describe", image)
    assert (said["crc"], said["signature"]) == (False, False)
    report = verify_signature(image)
    assert report is not None
    assert (report.is_genuine, report.covers_image) == (True, False)


def test_both_say_the_same_of_a_damaged_file(
    pairs: dict[str, Pair], judge: Judge, tmp_path: Path
) -> None:
    whole = pairs["as nitro-cli builds it"].theirs.read_bytes()
    image = tmp_path / "image.eif"
    cut = (0, 4, 547, 548, 553, 600, len(whole) - 1)
    wrong_types = (b"\0\0", b"\0\6", b"\xff\xff")
    damaged = itertools.chain(
        (whole[:length] for length in cut),
        (whole[:548] + kind + whole[550:] for kind in wrong_types),
        (b"EIF." + whole[4:], whole + b"tail"),
    )
    for content in damaged:
        image.write_bytes(content)
        assert _as_nitro_cli(image) == {
            name: value
            for name, value in judge("describe", image).items()
            if name in ("error", "crc")
        }


def _as_nitro_cli(image: Path) -> dict[str, Any]:
    """What we expect of AWS's reader."""
    try:
        eif = Eif.open(image, Reading.AS_NITRO_CLI)
    except EifError as error:
        return {"error": error.real_text}
    return {"crc": eif.scan().crc == eif.header.crc}
