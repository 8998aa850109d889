"""Enclaves that exist as their NSM alone, for programs that ask for attestation over HTTP.

Nothing runs in them: whoever holds an enclave's id is its program. What a user may choose is what
decides an NSM's measurements at boot; everything else an enclave does to its registers itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from nsm_fake import (
    Clock,
    ClockOutsideValidityError,
    EnclaveIdentity,
    NitroSecurityModule,
    NsmPki,
    pcr_of_instance_id,
    pcr_of_role_arn,
    pcr_of_signing_certificate,
)

MOST_ENCLAVES = 10_000
"""At one time. A guard against a client that creates and never deletes: each takes a few kilobytes,
and about ten once it has attested."""

_PCR_HEX = re.compile(r"[0-9a-fA-F]{96}", re.ASCII)
_ZERO_PCR = bytes(48)
_TYPES = {
    "pcrs": (dict, "an object of PCR numbers and 96 hexadecimal digits each"),
    "role_arn": (str, "a string"),
    "instance_id": (str, "a string"),
    "region": (str, "a string"),
    "debug_mode": (bool, "true or false"),
    "signing_certificate": (str, "a string: the certificate as PEM text"),
}


class BadEnclave(ValueError):
    """No enclave can be so: the message names the member, what is wrong, and what to give."""


class TooManyEnclaves(Exception):
    """There are as many enclaves as may be."""


class NoSuchEnclave(KeyError):
    """No enclave has this id, or none has it any more."""


@dataclass(frozen=True, slots=True)
class Enclave:
    """One enclave and its NSM."""

    nsm: NitroSecurityModule

    @property
    def enclave_id(self) -> str:
        """As nitro-cli prints it: the module id without the zeros after `-enc`."""
        return self.nsm.identity.enclave_id

    def describe(self) -> dict[str, Any]:
        """JSON: `enclave_id`, `module_id`, and `pcrs`, those that a document carries now."""
        pcrs = {str(index): value.hex() for index, value in self.nsm.locked_pcrs().items()}
        identity = self.nsm.identity
        return {"enclave_id": self.enclave_id, "module_id": identity.module_id, "pcrs": pcrs}


class Enclaves:
    """The enclaves of one machine, by id, all under one PKI and one clock. Thread-safe.

    `region` is that of enclaves which name none.
    """

    def __init__(
        self, pki: NsmPki, clock: Clock, *, region: str, most: int = MOST_ENCLAVES
    ) -> None:
        self._pki = pki
        self._clock = clock
        self._region = region
        self._most = most
        self._enclaves: dict[str, Enclave] = {}
        self._lock = Lock()

    def create(self, wanted: Mapping[str, object]) -> Enclave:
        """Boot an enclave as `wanted` says: the members of POST /enclaves, all optional.

        Raises BadEnclave, TooManyEnclaves, ClockOutsideValidityError.
        """
        arguments = {"region": self._region, **_identity_arguments(wanted)}
        with self._lock:
            if len(self._enclaves) >= self._most:
                raise TooManyEnclaves(
                    f"There are {self._most} enclaves, which is the most; delete some with "
                    "DELETE /enclaves/ID."
                )
            enclave = self._boot(arguments)
            while enclave.enclave_id in self._enclaves:
                # Ids hold a millisecond and 16 random bits: one instance can meet its own again.
                enclave = self._boot(arguments)
            self._enclaves[enclave.enclave_id] = enclave
        return enclave

    def get(self, enclave_id: str) -> Enclave:
        """The enclave of this id. Raises NoSuchEnclave."""
        try:
            return self._enclaves[enclave_id]
        except KeyError:
            raise NoSuchEnclave(enclave_id) from None

    def remove(self, enclave_id: str) -> None:
        """End an enclave. Raises NoSuchEnclave."""
        with self._lock:
            if self._enclaves.pop(enclave_id, None) is None:
                raise NoSuchEnclave(enclave_id)

    def all(self) -> list[Enclave]:
        """Every enclave there is, oldest first."""
        with self._lock:
            return list(self._enclaves.values())

    def _boot(self, arguments: Mapping[str, Any]) -> Enclave:
        try:
            identity = EnclaveIdentity.create(clock=self._clock, **arguments)
            return Enclave(NitroSecurityModule(identity, self._pki, self._clock))
        except ClockOutsideValidityError:
            raise
        except ValueError as error:
            raise BadEnclave(str(error)) from error


def _identity_arguments(wanted: Mapping[str, object]) -> dict[str, Any]:
    """What `EnclaveIdentity.create` takes. Raises BadEnclave."""
    given = {name: value for name, value in wanted.items() if value is not None}
    for name, value in given.items():
        if name not in _TYPES:
            raise BadEnclave(f"There is no member {name!r}; give any of {', '.join(_TYPES)}.")
        kind, words = _TYPES[name]
        if not isinstance(value, kind):
            raise BadEnclave(f"{name} is not {words}.")
    certificate = given.pop("signing_certificate", None)
    pcrs = _pcrs(given.pop("pcrs", {}))
    measured: dict[int, tuple[bytes, str]] = {3: (_ZERO_PCR, "no role_arn")}
    try:
        if "role_arn" in given:
            measured[3] = pcr_of_role_arn(str(given["role_arn"])), "this role_arn"
        if "instance_id" in given:
            measured[4] = pcr_of_instance_id(str(given["instance_id"])), "this instance_id"
        if certificate is not None:
            pcr8 = pcr_of_signing_certificate(str(certificate).encode(errors="replace"))
            measured[8] = pcr8, "this signing_certificate"
    except ValueError as error:
        raise BadEnclave(str(error)) from error
    _check_agreement(pcrs, measured)
    if 8 in measured:
        pcrs[8] = measured[8][0]
    registers = {f"pcr{index}": value for index, value in pcrs.items() if index in {0, 1, 2, 8}}
    return {**given, **registers}


def _pcrs(given: object) -> dict[int, bytes]:
    pcrs = {}
    for number, value in dict(given).items():  # type: ignore[call-overload]  # It is a dict: _TYPES.
        if number not in {"0", "1", "2", "3", "4", "8"}:
            raise BadEnclave(
                f"pcrs.{number} cannot be given: 0, 1, 2, 3, 4 and 8 are what is measured at boot. "
                "PCR5 to 7 and 9 to 15 are always zero, and PCR16 to 31 an enclave extends itself, "
                "with ExtendPCR."
            )
        if not isinstance(value, str) or not _PCR_HEX.fullmatch(value):
            raise BadEnclave(f"pcrs.{number} is not a SHA-384 digest: give 96 hexadecimal digits.")
        pcrs[int(number)] = bytes.fromhex(value)
    return pcrs


def _check_agreement(pcrs: Mapping[int, bytes], measured: Mapping[int, tuple[bytes, str]]) -> None:
    if 4 in pcrs and 4 not in measured:
        raise BadEnclave("pcrs.4 is measured from the instance's id: give instance_id as well.")
    for index, (value, source) in measured.items():
        if pcrs.get(index, value) != value:
            raise BadEnclave(
                f"pcrs.{index} contradicts what is measured: with {source} it is {value.hex()}. "
                f"Leave pcrs.{index} out, and it follows."
            )
