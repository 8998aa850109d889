"""`attested-kms serve`: the KMS fake as a server for any SDK, until it is told to stop."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from kms_fake import KmsFake, KmsServer, RuleSet, Settings, serving
from kms_fake.roots import BadRoot, aws_root, root_from_der, roots_from_file
from nsm_fake import NsmPki
from simulator.environment import away_from_aws

SIMULATED = "sim"
AWS = "aws"


class CannotServe(Exception):
    """Why the server does not start and what to do, in a sentence."""


def serve(
    *,
    port: int,
    roots: Sequence[str],
    seed: str | None,
    rules: str,
    show: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT. When ready, shows one JSON line.

    `{"kms_endpoint": URL, "root_certificate": FILE, "rules": NAME}`; FILE is PEM with every
    trusted root and is removed at the end. Raises CannotServe.
    """
    try:
        trusted = [root for name in roots or [SIMULATED] for root in _roots(name, seed)]
    except BadRoot as error:
        raise CannotServe(str(error)) from error
    fake = KmsFake(trusted, settings=Settings(rule_set=RuleSet(rules)))
    with _signals_held() as signals, away_from_aws(), ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="attested-kms-"))
        server = stack.enter_context(_listening(fake, port))
        root_file = Path(folder) / "root.pem"
        root_file.write_bytes(b"".join(root.public_bytes(Encoding.PEM) for root in trusted))
        ready = {"kms_endpoint": server.endpoint, "root_certificate": str(root_file)}
        show(json.dumps({**ready, "rules": rules}))
        signal.sigwait(signals)


@contextmanager
def _signals_held() -> Iterator[set[signal.Signals]]:
    """SIGTERM and SIGINT held back from this thread and those it starts, to be waited for.

    A handler could run at any moment, also while what it wants to touch is locked.
    """
    signals = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield signals
    finally:
        while signal.sigpending() & signals:  # Another one while stopping changes nothing.
            signal.sigwait(signals)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _listening(fake: KmsFake, port: int) -> Iterator[KmsServer]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(serving(fake, port=port))
        except OSError as error:
            raise CannotServe(
                f"Port {port} of 127.0.0.1 cannot be used ({error.strerror or error}); give "
                "another --port, or 0 for any free one."
            ) from error
        yield server


def _roots(name: str, seed: str | None) -> list[Certificate]:
    if name == SIMULATED:
        pki = NsmPki(None if seed is None else seed.encode())
        return [root_from_der(pki.root_certificate_der)]
    if name == AWS:
        return [aws_root()]
    return roots_from_file(Path(name))
