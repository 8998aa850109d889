"""Figures of `attested-kms run`: what its supervisor costs the programs that it supervises.

The programs are in C, so that their own time is next to nothing, and time themselves. Each is
there twice, with and without the supervisor; batches of the two alternate.

Some figures are measured on one processor. Where a kernel puts processes that wake each other is
its own choice and stays as it was chosen for seconds, and how long a sleeping processor takes to
wake is the machine's affair, in a virtual one up to 50 us.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, Self, TypeVar

import cbor2

from benchmarks.attested import Enclave
from benchmarks.figures import BenchmarkFailed, Bound, Bounded, Figure, Unit
from benchmarks.measure import Batch, Batches, alternated, batch, quiet, ratio
from benchmarks.processes import first_line, started
from simulator.interpose.plan import Rung
from simulator.interpose.probe import NoRung, probe
from simulator.interpose.run import Handle, Options, Run

T = TypeVar("T")
_Measure = Callable[[], Batch]

_SOURCES = Path(__file__).with_name("programs")
_PROGRAMS = ("calls", "nsm", "peer", "dial")
_COMPILERS = ("gcc", "cc")
_TIMEOUT_SECONDS = 60.0

_UNRELATED = ("getpid", "read", "ioctl")
_UNRELATED_COUNT = 5_000
_OPENAT_COUNT = 100
_REQUESTS = 20
_CONNECTIONS = 50
_BYTES = 32 << 20
_PARENT_CID, _PORT = 3, 9001

_WITHOUT = "the same without a supervisor; the worst of getpid, read of /dev/zero, ioctl(FIONREAD)"
_HANDLE_IS = "the NSM's handle() called for the same request, in the process that serves it"
_NATIVE = "the same program on a Unix socket, without a supervisor; the same peer"


@dataclass(frozen=True, slots=True)
class _Pair(Generic[T]):
    """Something under the supervisor, and its floor."""

    ours: T
    floor: T


class NotMeasurable(Exception):
    """Why programs cannot be measured under a supervisor here, in a sentence."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """The compiled programs, the fabric's folder, and the techniques that work here."""

    folder: Path
    rungs: tuple[Rung, ...]
    """The best first."""

    def command(self, name: str, *arguments: str) -> list[str]:
        """The command of a program."""
        return [str(self.folder / name), *arguments]

    @property
    def peer(self) -> str:
        """The path of the Unix socket that is the vsock address (_PARENT_CID, _PORT)."""
        return str(self.folder / f"{_PARENT_CID}_{_PORT}.sock")


@contextmanager
def workshop() -> Iterator[Workshop]:
    """Everything that the figures need. Raises NotMeasurable, BenchmarkFailed."""
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise NotMeasurable(
            "attested-kms run is not measured: its programs are in C, and there is neither gcc nor "
            "cc on PATH"
        )
    probed = probe()
    try:
        best = probed.choose(isolate=None)
    except NoRung as error:
        raise NotMeasurable(f"attested-kms run is not measured: {error}") from error
    rungs = [rung for rung in Rung if probed.reasons[rung] is None]
    with TemporaryDirectory(prefix="attested-kms-bench-") as name:
        folder = Path(name)
        for program in _PROGRAMS:
            command = [compiler, "-O2", "-o", str(folder / program), f"{_SOURCES / program}.c"]
            finished = subprocess.run(command, capture_output=True, text=True, check=False)
            if finished.returncode != 0:
                raise BenchmarkFailed(f"{program}.c does not compile:\n{finished.stderr}")
        yield Workshop(folder, (best, *(rung for rung in rungs if rung is not best)))


class _Program:
    """A program that measures: a line says what, a line of nanoseconds comes back."""

    def __init__(self, name: str, end: socket.socket) -> None:
        self._name = name
        self._end = end
        self._lines = end.makefile("r", encoding="ascii")

    def ask(self, line: str) -> list[int]:
        """Raises BenchmarkFailed if the program has ended or does not answer."""
        try:
            self._end.sendall(line.encode() + b"\n")
            answer = self._lines.readline()
        except OSError as error:
            raise BenchmarkFailed(f"{self._name} did not measure {line!r}: {error}") from error
        if not answer:
            raise BenchmarkFailed(f"{self._name} ended at {line!r}; its complaint is above.")
        return [int(word) for word in answer.split()]

    def end(self) -> None:
        """There is nothing more to ask: the program ends by itself."""
        self._end.shutdown(socket.SHUT_WR)

    @classmethod
    @contextmanager
    def native(cls, command: Sequence[str]) -> Iterator[Self]:
        """Without a supervisor."""
        ours, theirs = _standard_streams()
        with ours:
            with theirs:
                end = theirs.fileno()
                process = subprocess.Popen(command, stdin=end, stdout=end)
            try:
                yield cls(command[0], ours)
            finally:
                process.kill()
                process.wait()

    @classmethod
    @contextmanager
    def supervised(
        cls, command: Sequence[str], shop: Workshop, rung: Rung, handle: Handle | None = None
    ) -> Iterator[Self]:
        """Under the supervisor."""
        ours, theirs = _standard_streams()
        with ours:
            with theirs:
                options = Options(fabric=shop.folder, rung=rung)
                end = theirs.fileno()
                run = Run(command, handle, options, stdin=end, stdout=end)
            with run:
                program = cls(command[0], ours)
                yield program
                program.end()
                run.wait(_TIMEOUT_SECONDS)


def _standard_streams() -> tuple[socket.socket, socket.socket]:
    """Our end, and the one that is a program's standard input and output."""
    ours, theirs = socket.socketpair()
    ours.settimeout(_TIMEOUT_SECONDS)
    return ours, theirs


def unrelated_calls(shop: Workshop, rung: Rung, *, rounds: int) -> Iterator[Figure]:
    """System calls that are no business of the supervisor, and openat, which may be one."""
    command = shop.command("calls")
    wishes = {name: f"{name} {_UNRELATED_COUNT}" for name in _UNRELATED}
    if rung is Rung.OPEN_TRAP:
        wishes["openat"] = f"openat {_OPENAT_COUNT}"
    with _Program.native(command) as bare, _Program.supervised(command, shop, rung) as ours:
        taken = _beside(_wished(ours, bare, wishes), rounds=rounds)
    name = max(_UNRELATED, key=lambda name: quiet(taken[name].ours) - quiet(taken[name].floor))
    yield _figure(
        f"an unrelated call ({name}), {rung.value}",
        Unit.NANOSECONDS,
        taken[name],
        _WITHOUT,
        Bound(Bounded.DIFFERENCE, 100.0),
    )
    if rung is Rung.OPEN_TRAP:
        yield _figure(
            f"openat and close of another file, {rung.value}",
            Unit.NANOSECONDS,
            taken["openat"],
            "the same without a supervisor",
        )


def nsm_requests(shop: Workshop, *, rounds: int) -> Iterator[Figure]:
    """A request to the NSM by ioctl: nothing to compute for the NSM, and a document to sign.

    On one processor, and, since users have more, on all of them.
    """
    with _one_processor():
        yield from _nsm_requests(shop, "one processor", 150.0, rounds=rounds)
    yield from _nsm_requests(shop, "all processors", None, rounds=rounds)


def _nsm_requests(
    shop: Workshop, where: str, limit: float | None, *, rounds: int
) -> Iterator[Figure]:
    enclave = Enclave()
    handle = enclave.module.handle
    requests = {"DescribeNSM": cbor2.dumps("DescribeNSM"), "Attestation": enclave.request}
    with _Program.supervised(shop.command("nsm"), shop, shop.rungs[0], handle) as program:
        actions: dict[str, _Pair[_Measure]] = {
            name: _Pair(
                partial(program.ask, f"{request.hex()} {_REQUESTS}"),
                partial(batch, partial(handle, request), _REQUESTS),
            )
            for name, request in requests.items()
        }
        for name, taken in _beside(actions, rounds=rounds).items():
            yield _figure(
                f"ioctl of /dev/nsm, {name}, {where}",
                Unit.MICROSECONDS,
                taken,
                _HANDLE_IS,
                None if limit is None else Bound(Bounded.DIFFERENCE, limit),
            )


def vsock_bytes(shop: Workshop, *, rounds: int) -> Iterator[Figure]:
    """What passes over a connection, of which the supervisor has no part, on one processor."""
    wishes = {"sent": f"send {_BYTES}", "received": f"receive {_BYTES}"}
    with _one_processor(), _dialling(shop) as (ours, bare):
        for direction, taken in _beside(_wished(ours, bare, wishes), rounds=rounds).items():
            yield _figure(
                f"{_BYTES >> 20} MiB {direction} over a vsock",
                Unit.MILLISECONDS,
                taken,
                _NATIVE,
                # 0.9 times as many bytes a second.
                Bound(Bounded.RATIO, 1 / 0.9),
            )


def vsock_connections(shop: Workshop, *, rounds: int) -> Figure:
    """Connections, of which the program's side is supervised."""
    wishes = {"connections": f"connect {_CONNECTIONS}"}
    with _dialling(shop) as (ours, bare):
        return _figure(
            "vsock connection: socket, connect, a byte echoed, close",
            Unit.MICROSECONDS,
            _beside(_wished(ours, bare, wishes), rounds=rounds)["connections"],
            _NATIVE,
            # 2,000 connections a second.
            Bound(Bounded.OURS, 500.0),
        )


@contextmanager
def _dialling(shop: Workshop) -> Iterator[tuple[_Program, _Program]]:
    """The program that dials, supervised and not, and a peer."""
    on_vsock = shop.command("dial", "vsock", str(_PARENT_CID), str(_PORT))
    on_unix = shop.command("dial", "unix", shop.peer)
    with (
        started(shop.command("peer", shop.peer)) as peer,
        _Program.native(on_unix) as bare,
        _Program.supervised(on_vsock, shop, shop.rungs[0]) as ours,
    ):
        first_line(peer)
        yield ours, bare
    Path(shop.peer).unlink(missing_ok=True)


@contextmanager
def _one_processor() -> Iterator[None]:
    """This thread, and whatever it starts meanwhile, on one processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wished(
    ours: _Program, bare: _Program, wishes: Mapping[str, str]
) -> dict[str, _Pair[_Measure]]:
    """What both programs are asked, by name."""
    return {
        name: _Pair(partial(ours.ask, wish), partial(bare.ask, wish))
        for name, wish in wishes.items()
    }


def _beside(actions: Mapping[str, _Pair[_Measure]], *, rounds: int) -> dict[str, _Pair[Batches]]:
    """The batches of each. A round has all of them, so that they share its noise."""
    each = [action for pair in actions.values() for action in (pair.floor, pair.ours)]
    taken = alternated(lambda: each, rounds=rounds)
    pairs = map(_Pair, taken[1::2], taken[::2])
    return dict(zip(actions, pairs, strict=True))


def _figure(
    name: str,
    unit: Unit,
    taken: _Pair[Batches],
    floor_is: str,
    bound: Bound | None = None,
) -> Figure:
    nanoseconds = {Unit.NANOSECONDS: 1.0, Unit.MICROSECONDS: 1e3, Unit.MILLISECONDS: 1e6}[unit]
    return Figure(
        name=name,
        unit=unit,
        ours=quiet(taken.ours) / nanoseconds,
        floor=quiet(taken.floor) / nanoseconds,
        floor_is=floor_is,
        ratio=ratio(taken.ours, taken.floor),
        bound=bound,
    )
