"""The project's figures, each beside its floor in the same run: `./toxw -e bench`.

It measures the working tree in which it lies and uses no network but loopback. How the statistics
are made is told in `benchmarks/measure.py`; what each floor is, below the table.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from benchmarks import (
    boot,
    eif,
    in_process,
    nitro_cli,
    over_http,
    peers,
    scale,
    suite,
    supervised,
)
from benchmarks.figures import BenchmarkFailed, Figure, conclusion, machine, table


@dataclass(frozen=True, slots=True)
class Effort:
    """How often things are measured."""

    rounds: int
    starts: int


FULL = Effort(rounds=60, starts=5)
QUICK = Effort(rounds=10, starts=3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0: measured; 1: with --strict, a bound is exceeded; 2: wrong usage, or something could not be
    measured; 130: interrupted.
    """
    options = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    facts = machine()
    effort = QUICK if options.quick else FULL
    try:
        figures = list(_measure(effort, with_peers=options.peers, with_sim=options.sim))
    except BenchmarkFailed as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("benchmarks: interrupted; every process is ended.", file=sys.stderr)
        return 130
    print(report(facts, figures, options))
    return int(options.strict and any(figure.is_over for figure in figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py", description="The project's figures, each beside its floor."
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK.rounds} rounds and {QUICK.starts} starts instead of {FULL.rounds} and "
        f"{FULL.starts}: a first look, no figure to quote",
    )
    parser.add_argument(
        "--no-peers",
        dest="peers",
        action="store_false",
        help="leave out moto_server and LocalStack; the latter needs Python 3.13 on PATH and is "
        "installed into a folder of its own the first time",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 if a figure exceeds its bound"
    )
    parser.add_argument(
        "--sim",
        action="store_true",
        help="time a warm ./toxw -e sim as well, which runs tox inside tox and takes a minute",
    )
    return parser


def _interrupted(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt  # So that what was started is ended, as after Ctrl-C.


def _measure(effort: Effort, *, with_peers: bool, with_sim: bool) -> Iterator[Figure]:
    _progress("the NSM and KMS as objects")
    yield in_process.nsm_document(rounds=effort.rounds)
    yield in_process.attested_decrypt(rounds=effort.rounds)
    yield in_process.attested_decrypt_unknown_chain(rounds=effort.rounds)
    _progress("the KMS over HTTP")
    yield from over_http.decrypt_over_http(rounds=effort.rounds)
    _progress(f"{effort.starts} starts of the server")
    yield over_http.start_to_first_answer(starts=effort.starts)
    _progress("the server's memory")
    yield over_http.memory()
    _progress(f"{scale.KEYS:,} keys and {scale.ENCLAVES:,} enclaves")
    yield scale.decrypt_with_many_keys(rounds=effort.rounds)
    yield scale.decrypt_with_many_enclaves(rounds=effort.rounds)
    _progress(f"{scale.CLIENTS} clients at once")
    yield scale.many_clients()
    _progress("enclave image files")
    yield from eif.measuring(rounds=effort.rounds)
    _progress("nitro-cli")
    yield nitro_cli.describe_enclaves(rounds=effort.rounds)
    yield from _measure_run(effort)
    if with_peers:
        _progress("moto_server")
        yield peers.beside_moto(rounds=effort.rounds)
        _progress("LocalStack, which is installed the first time")
        try:
            python = peers.localstack_python()
        except peers.NoPeer as error:
            print(f"benchmarks: {error}", file=sys.stderr)
        else:
            yield from peers.beside_localstack(python, rounds=effort.rounds)
    if with_sim:
        _progress("./toxw -e sim, cold and warm")
        yield suite.warm_sim()


def _measure_run(effort: Effort) -> Iterator[Figure]:
    _progress("programs under attested-kms run")
    try:
        with supervised.workshop() as shop:
            for rung in shop.rungs:
                yield from supervised.unrelated_calls(shop, rung, rounds=effort.rounds)
            yield from supervised.nsm_requests(shop, rounds=effort.rounds)
            yield from supervised.vsock_bytes(shop, rounds=effort.rounds)
            yield supervised.vsock_connections(shop, rounds=effort.rounds)
        _progress("booting")
        yield boot.to_heartbeat(rounds=effort.rounds)
    except supervised.NotMeasurable as error:
        print(f"benchmarks: {error}", file=sys.stderr)


def _progress(what: str) -> None:
    print(f"measuring {what} ...", file=sys.stderr, flush=True)


def report(facts: Mapping[str, Any], figures: Sequence[Figure], options: argparse.Namespace) -> str:
    """What is printed: a table, or JSON with the same facts."""
    last = conclusion(figures, strict=options.strict)
    if not options.json:
        machine_line = ", ".join(f"{name} {value}" for name, value in facts.items())
        return "\n".join((machine_line, "", table(figures), "", last))
    return json.dumps(
        {
            "machine": facts,
            "quick": options.quick,
            "figures": [figure.as_json() for figure in figures],
            "conclusion": last,
        },
        indent=2,
    )


if __name__ == "__main__":
    sys.exit(main())
