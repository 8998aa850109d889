"""Whose NSM the enclaves of a machine get: one of the machine's own, or of a server that is joined.

The machine's own PKI derives from `seed` in its folder, and its root is `root.pem` there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from nsm_fake import EnclaveIdentity, NitroSecurityModule, NsmPki, system_clock
from simulator.folder import FolderUnusable, keep_root, seed_of
from simulator.joined import CannotJoin, find_server, joined_enclave
from simulator.machine.configuration import BadConfiguration, Configuration
from simulator.machine.parts import CannotSimulate, Image, Nsm

TOKEN_VARIABLE = "ATTESTED_KMS_MANAGEMENT_TOKEN"  # noqa: S105  # A variable's name.


class OwnNsm:
    """NSMs under the machine's own PKI, whose root is root.pem of its folder."""

    def __init__(self, folder: Path, configuration: Configuration) -> None:
        self._folder = folder
        self._configuration = configuration
        self._pki: NsmPki | None = None
        self._lock = Lock()

    def __call__(self, slot_uid: int, image: Image, *, debug: bool) -> Nsm:
        """That of a new enclave. Raises CannotSimulate."""
        instance_id = self._configuration.instance_id
        pcrs = {name.lower(): bytes.fromhex(value) for name, value in image.pcrs.items()}
        try:
            identity = EnclaveIdentity(
                module_id=f"{instance_id}-enc{slot_uid:016x}",
                region=self._configuration.region,
                instance_id=instance_id,
                role_arn=self._configuration.role_arn,
                debug_mode=debug,
                **pcrs,
            )
            nsm = NitroSecurityModule(identity, self.pki(), system_clock)
        except ValueError as error:
            raise CannotSimulate(f"The machine has no NSM for its enclaves: {error}") from error
        return Nsm(nsm.handle, None, lambda: None)

    def pki(self) -> NsmPki:
        """The PKI; its root is written for people to hand out. Raises CannotSimulate."""
        with self._lock:
            if self._pki is None:
                try:
                    pki = NsmPki(seed_of(self._folder))
                    keep_root(self._folder, _root_pem(pki))
                except FolderUnusable as error:
                    raise CannotSimulate(str(error)) from error
                self._pki = pki
            return self._pki


class JoinedNsm:
    """NSMs of a running `attested-kms serve`."""

    def __init__(self, configuration: Configuration, complain: Callable[[str], None]) -> None:
        self._configuration = configuration
        self._complain = complain

    def __call__(self, slot_uid: int, image: Image, *, debug: bool) -> Nsm:
        """That of a new enclave, with the server's number instead of the slot's.

        Raises CannotSimulate.
        """
        del slot_uid
        configuration = self._configuration
        wanted: Mapping[str, object] = {
            "pcrs": {name.removeprefix("PCR"): value for name, value in image.pcrs.items()},
            "role_arn": configuration.role_arn,
            "instance_id": configuration.instance_id,
            "debug_mode": debug,
        }
        stack = ExitStack()
        try:
            server = find_server(configuration.join or "", os.environ.get(TOKEN_VARIABLE) or None)
            joined = joined_enclave(server, wanted, self._complain)
            handle, enclave = stack.enter_context(joined)
        except CannotJoin as error:
            raise CannotSimulate(str(error)) from error
        number = int(str(enclave["enclave_id"]).rpartition("-enc")[2], 16)
        return Nsm(handle, number, stack.close)


def _root_pem(pki: NsmPki) -> bytes:
    """The root certificate of a PKI."""
    return load_der_x509_certificate(pki.root_certificate_der).public_bytes(Encoding.PEM)


def check(configuration: Configuration) -> None:
    """Raises BadConfiguration where no enclave could be of such a machine."""
    try:
        EnclaveIdentity.create(
            clock=system_clock,
            instance_id=configuration.instance_id,
            region=configuration.region,
            role_arn=configuration.role_arn,
        )
    except ValueError as error:
        raise BadConfiguration(str(error)) from error


def make_root(folder: Path, configuration: Configuration) -> Path | None:
    """The file of the machine's root; None where its enclaves are a server's.

    Raises CannotSimulate.
    """
    if configuration.join is not None:
        return None
    OwnNsm(folder, configuration).pki()
    return folder / "root.pem"
