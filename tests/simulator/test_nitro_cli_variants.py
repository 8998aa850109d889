"""The golden command lines of nitro-cli with other arguments, on machines in other states.

What each must say is computed from the golden texts: the one that fails for the same cause, with
its values replaced.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.golden_machines import (
    MIB,
    Finished,
    Machines,
    machines,
    run_words,
    without_times,
)
from tests.simulator.parent_instance import eif_of

Replaced = Mapping[str, str]
Environ = Mapping[str, str | None]

HOME: Environ = {"HOME": "home"}
NO_HOME: Environ = {"HOME": None, "NITRO_CLI_ARTIFACTS": None}
V1_5_0: Environ = {"ATTESTED_KMS_NITRO_CLI_VERSION": "1.5.0"}
VERSION: Replaced = {"Version: 1.4.4": "Version: 1.5.0"}
LOGS = "/var/log/nitro_enclaves"
U32 = (1 << 32) - 1
EIFS = {"one": 1, "mib": MIB + 1, "three": 3 * MIB, "gib": 1024 * MIB}


@dataclass(frozen=True, slots=True)
class Variant:
    """A command line, and what it makes of a golden case's texts."""

    golden: str
    state: str
    words: list[str]
    replaced: Replaced
    environ: Environ


def variant(
    golden: str,
    state: str,
    words: list[str],
    replaced: Replaced | None = None,
    environ: Environ | None = None,
) -> Variant:
    return Variant(golden, state, words, replaced or {}, environ or {})


def cpu_counts() -> Iterator[Variant]:
    for count in (3, 5, 6, 8, 100, U32):
        numbers = {"is 4,": f"is {count},", "requested 4,": f"requested {count},"}
        yield variant("E22_more_than_pool", "as shipped", run_words(count, 128), numbers)
    for count in (5, 7):
        numbers = {
            "is 4,": f"is {count},",
            "requested 4, but maximum is 2": f"requested {count}, but maximum is 4",
        }
        yield variant("E22_more_than_pool", "two cores", run_words(count, 128), numbers)
    for count in (1, 3, 64):
        numbers = {"is 2,": f"is {count},", "requested 2,": f"requested {count},"}
        yield variant("E22_allocator_never_started", "no allocator", run_words(count, 1), numbers)


def memory_sizes() -> Iterator[Variant]:
    for eif, memory, mib, least in (
        ("large", "799", 799, 800),
        ("one", "0", 0, 4),
        ("mib", "4", 4, 8),
        ("three", "11m", 11, 12),
        ("gib", "1G", 1024, 4096),
    ):
        numbers = {"512": str(mib), "800": str(least)}
        words = run_words(2, 0, f"{eif}.eif")
        words[words.index("0")] = memory
        yield variant("E26_less_than_4x_eif", "as shipped", words, numbers)
    for state, memory, mib, missing in (
        ("as shipped", "514", 514, 2),
        ("as shipped", "600M", 600, 88),
        ("as shipped", "4g", 4096, 3584),
        ("as shipped", "1T", 1 << 20, (1 << 20) - 512),
        ("1 GiB", "2048", 2048, 1024),
    ):
        words = run_words(2, 0)
        words[words.index("0")] = memory
        numbers = {"1024": str(mib), "512 MB remained": f"{missing} MB remained"}
        yield variant("E27_not_enough_hugepages", state, words, numbers)


def driver_refusals() -> Iterator[Variant]:
    for memory in (2, 4, 30, 60, 62):
        yield variant("E29_below_64MiB", "as shipped", run_words(2, memory))
    yield variant("E29_half_core", "as shipped", run_words(1, 64))
    yield variant("E29_half_core", "as shipped", run_words(1, 512))
    yield variant("E29_half_core", "two cores", run_words(3, 128))
    for ids in (["1"], ["3"]):
        words = ["run-enclave", "--cpu-ids", *ids, "--memory", "64", "--eif-path", "small.eif"]
        yield variant("E29_half_core", "as shipped", words)
    held = "bug9_second_enclave_pool_used_up"
    yield variant(held, "held", run_words(1, 64))
    yield variant(held, "held", run_words(2, 0, "empty.eif"))
    ids = ["--cpu-ids", "3", "1", "--memory", "1T", "--eif-path", "small.eif"]
    yield variant(held, "held", ["run-enclave", *ids, "--enclave-name", "x", "--debug-mode"])
    partly = "E29_add_vcpu_partly_used_pool"
    yield variant(partly, "one core of two held", run_words(3, 64))


def boots() -> Iterator[Variant]:
    for memory in (64, 256):
        yield variant("E36_bind_race", "racing", run_words(2, memory))
    for cid, memory in ((17, 64), (4, 128), (U32 - 1, 512)):
        replaced = {"cid: 16,": f"cid: {cid},", "1024 MiB": f"{memory} MiB"}
        words = [*run_words(2, memory), f"--enclave-cid={cid}"]
        yield variant("E36_no_heartbeat", "silent, with small pages", words, replaced)


def files() -> Iterator[Variant]:
    missing = 'code: 2, kind: NotFound, message: "No such file or directory"'
    for path, error in (
        ("a b.eif", missing),
        ("/no/such/é.eif", missing),
        ("../{}.eif", missing),
        ("", missing),
        ("small.eif/x", 'code: 20, kind: NotADirectory, message: "Not a directory"'),
        ("n" * 256, 'code: 36, kind: InvalidFilename, message: "File name too long"'),
        (
            "loop.eif",
            'code: 40, kind: FilesystemLoop, message: "Too many levels of symbolic links"',
        ),
    ):
        words = [*run_words(2, 128)[:-1], path]
        yield variant("E19_eif_missing", "as shipped", words, {"nope.eif": path, missing: error})
    yield variant("E19_no_driver_pool_file", "no driver", run_words(U32, 0))
    ids = ["--cpu-ids", "0", "0", "--memory", "1", "--eif-path", "large.eif"]
    yield variant("E19_no_driver_pool_file", "no driver", ["run-enclave", *ids])


def cids() -> Iterator[Variant]:
    parent = "CID 3 is the CID of the parent VM, not to be used for enclaves"
    for cid, line, why in (
        (1, 402, "a well-known CID, not to be used for enclaves"),
        (2, 402, "a well-known CID, not to be used for enclaves"),
        (U32, 409, "a well-known CID, not to be used for enclaves"),
        (U32 + 1, 427, "higher than the maximum supported (u32 max) for a vsock device"),
        ((1 << 64) - 1, 427, "higher than the maximum supported (u32 max) for a vsock device"),
    ):
        replaced = {parent: f"CID {cid} is {why}", "line: 417": f"line: {line}"}
        yield variant(
            "E03_parent_cid", "as shipped", [*run_words(9, 0), "--enclave-cid", str(cid)], replaced
        )


def identifiers() -> Iterator[Variant]:
    for given in ("x", "", "i-05f6ed443ae428c95-enc1", "-encdead-enc"):
        words = ["terminate-enclave", f"--enclave-id={given}"]
        yield variant("E11_terminate_unknown_id", "held", words)
    words = ["console", "--disconnect-timeout", "9", "--enclave-name", "held"]
    yield variant("E44_console_not_debug", "held", words)


def builds() -> Iterator[Variant]:
    def words(uri: str, output: str = "out.eif") -> list[str]:
        return ["build-enclave", "--docker-uri", uri, "--output-file", output]

    no_home, no_devel = "bug3_E51_build_without_HOME", "E19_build_without_devel_package"
    yield variant(no_home, "as shipped", words("x", "a b.eif"), {}, NO_HOME)
    yield variant(no_home, "as shipped", [*words("x"), "--docker-dir", "none"], {}, NO_HOME)
    yield variant(no_home, "as shipped", [*words("x"), "--metadata", "none"], {}, NO_HOME)
    blobs = "/usr/share/nitro_enclaves/blobs/"
    for path in ("/no/such", "rel/", "."):
        # The -devel package may be there: the environment counts.
        environ = {**HOME, "NITRO_CLI_BLOBS": path}
        yield variant(no_devel, "as shipped", words("x"), {blobs: path}, environ)
    yield variant(no_devel, "no devel", words("x", "/no/such/out.eif"), {}, NO_HOME)
    no_command = "E48_unsupported_entrypoint"
    yield variant(no_command, "no command", [*words("app:1"), "--name", "x"], {}, HOME)
    not_local = {"Using the locally available Docker image...\n": ""}
    folder = ["--docker-dir", "context"]
    yield variant(no_command, "no command", [*words("new"), *folder], not_local, HOME)
    for uri in ("app:2", "registry.invalid:5000/team/app"):
        yield variant("E50_pull_fails", "no command", words(uri), {}, HOME)


def versions() -> Iterator[Variant]:
    for golden, state, words in (
        ("bug9_second_enclave_pool_used_up", "held", run_words(2, 64)),
        ("E22_more_than_pool", "as shipped", run_words(4, 128)),
        ("E27_not_enough_hugepages", "as shipped", run_words(2, 1024)),
        ("E11_terminate_unknown_id", "held", ["terminate-enclave", "--enclave-id", "x"]),
    ):
        yield variant(golden, state, words, VERSION, V1_5_0)
        logs = {LOGS: "logs"}
        yield variant(golden, state, words, logs, {"NITRO_CLI_LOGS_PATH": "logs"})


VARIANTS = list(
    itertools.chain(
        cpu_counts(),
        memory_sizes(),
        driver_refusals(),
        boots(),
        files(),
        cids(),
        identifiers(),
        builds(),
        versions(),
    )
)


@pytest.fixture(name="here", scope="module")
def _here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with machines(tmp_path_factory.mktemp("variants")) as made:
        for name, size in {**EIFS, "empty": 0}.items():
            eif_of(made.folder / f"{name}.eif", size)
        (made.folder / "loop.eif").symlink_to("loop.eif")
        (made.folder / "context").mkdir()
        (made.folder / "context" / "Dockerfile").write_text("FROM scratch\n")
        yield made


@pytest.fixture(name="golden", scope="module")
def _golden(shared_vectors: Path) -> dict[str, Any]:
    path = shared_vectors / "host" / "nitro_cli_golden_1.4.4.json"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    cases: dict[str, Any] = json.loads(path.read_text())["cases"]
    return cases


def test_there_are_variants_of_every_golden_case_that_can_vary(golden: dict[str, Any]) -> None:
    assert len(VARIANTS) >= 60
    # Its text has no value, and its cause no other form.
    assert set(golden) - {one.golden for one in VARIANTS} == {"bug1_E45_console_after_reboot"}


@pytest.mark.parametrize(
    "one", VARIANTS, ids=lambda one: f"{one.golden}: {' '.join(one.words)[:60]}"
)
def test_variant(
    here: Machines, golden: dict[str, Any], one: Variant, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = golden[one.golden]

    def text(of: str) -> str:
        for old, new in one.replaced.items():
            of = of.replace(old, new)
        return without_times(of)

    (here.folder / "logs").mkdir(exist_ok=True)
    environ = {"PATH": "/nowhere", **one.environ}
    finished = here.run_here(one.state, one.words, environ, capfd)
    shutil.rmtree(here.folder / "logs")
    assert finished == Finished(
        expected["rc"],
        "",
        text(expected["stderr"]),
        tuple(text(log) for log in expected["err_logs"]),
    )
