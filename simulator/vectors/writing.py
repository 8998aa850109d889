"""The files of the vectors: what is in the folder, and the index that describes it.

`index.json` follows `simulator/schemas/vectors.schema.json`. The keys and principals beside it are
files for `attested-kms serve`, so that every request can be sent to a server and get its answer;
the answers in the index come from a KMS that was configured with these very files.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from moto import mock_aws

from kms_fake import KmsFake, KmsRefusal, RuleSet, Settings
from kms_fake.given_keys import add_key
from kms_fake.roots import root_from_der
from kms_fake.rules import RULES
from kms_fake.shapes import Operation
from kms_fake.wire import decode_members
from simulator.key_file import Defaults, read_keys
from simulator.principal_file import read_principals
from simulator.vectors import documents, envelopes
from simulator.vectors.documents import NOW_MS, Documents, recipient_key
from simulator.vectors.requests import (
    ACCOUNT,
    CALLERS,
    CASES,
    KEYS,
    NOT_SHOWN,
    REGION,
    SECRET,
    Case,
    Requests,
)

FORMAT = 1
"""Of the index; another number for another meaning of what was there before."""

_KEYS, _PRINCIPALS, _RECIPIENT = "keys.json", "principals.json", "recipient.pem"
_ROWS = {rule.id: rule for rule in RULES}


class WrongVectors(RuntimeError):
    """A request met another rule than it is there to show: a mistake in the cases."""


def write(seed: int, folder: Path, progress: Callable[[str], object]) -> Mapping[str, Any]:
    """Write the vectors of `seed` into `folder`, which is there and empty; returns the index."""
    vectors = _Vectors(seed, folder)
    progress(f"{len(documents.RECIPES)} documents")
    for name, document in vectors.documents.items():
        vectors.write(_document_file(name), document)
    progress(f"{len(envelopes.RECIPES)} envelopes")
    for name, envelope in vectors.sealed():
        vectors.write(_envelope_file(name), envelope)
    vectors.write_configuration()
    progress(f"{len(CASES)} requests, each put to the KMS fake")
    index = vectors.index()
    vectors.write("index.json", _json(index))
    return index


class _Vectors:
    """Everything of one seed, and where it goes."""

    def __init__(self, number: int, folder: Path) -> None:
        self._number = number
        self._folder = folder
        self._seed = f"attested-kms vectors {number}".encode()
        maker = Documents(self._seed)
        self._root_pem = maker.pki.root_certificate_pem
        self._root = root_from_der(maker.pki.root_certificate_der)
        self._makers = maker
        self.documents = {name: maker.make(made) for name, made in documents.RECIPES.items()}
        self._requests = Requests(self._seed, self.documents)

    def write(self, name: str, content: bytes) -> None:
        """Write one file of the folder."""
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    def sealed(self) -> Iterator[tuple[str, bytes]]:
        """Each with its name."""
        recipient = recipient_key().public_key()
        for name, recipe in envelopes.RECIPES.items():
            yield name, envelopes.make(recipe, recipient, self._seed)

    def write_configuration(self) -> None:
        """What a server is started with, and the key that opens its answers."""
        self.write("root.pem", self._root_pem)
        private = PrivateFormat.PKCS8
        self.write(_RECIPIENT, recipient_key().private_bytes(Encoding.PEM, private, NoEncryption()))
        self.write(_KEYS, _json({"keys": [self._key(name) for name in KEYS]}))
        self.write(_PRINCIPALS, _json({"principals": CALLERS}))

    def _key(self, name: str) -> dict[str, Any]:
        is_rsa = "spec" in KEYS[name]
        material = (
            {"material_file": _RECIPIENT}
            if is_rsa
            else {"material": self._requests.material(name).hex()}
        )
        place = {"id": self._requests.key_id(name), "account": ACCOUNT, "region": REGION}
        return {**place, "description": name, **material, **KEYS[name]}

    def index(self) -> dict[str, Any]:
        """The index. Raises WrongVectors."""
        answers = self._answers()
        return {
            "format": FORMAT,
            "seed": self._number,
            "now": datetime.fromtimestamp(NOW_MS / 1000, UTC).isoformat(),
            "region": REGION,
            "root_certificate": "root.pem",
            "recipient_private_key": _RECIPIENT,
            "keys_file": _KEYS,
            "principals_file": _PRINCIPALS,
            "documents": [self._document(recipe) for recipe in documents.RECIPES.values()],
            "requests": [self._request(case, answers[case.name]) for case in CASES],
            "envelopes": [self._envelope(recipe) for recipe in envelopes.RECIPES.values()],
            "rules_not_shown": [
                {"rule": rule, "reason": reason} for rule, reason in NOT_SHOWN.items()
            ],
        }

    def _document(self, recipe: documents.Recipe) -> dict[str, Any]:
        content = self.documents[recipe.name]
        identity = self._makers.identity(recipe.maker)
        return {
            "name": recipe.name,
            "file": _document_file(recipe.name),
            "sha256": hashlib.sha256(content).hexdigest(),
            "module_id": identity.module_id,
            "timestamp_ms": recipe.timestamp_ms,
            "pcrs": {str(i): value.hex() for i, value in sorted(identity.boot_pcrs().items())},
            "enclave": recipe.maker.value,
            "public_key": recipe.public_key.value,
            "outer_map": recipe.outer_map.value,
            "tagged": recipe.tagged,
            "damage": recipe.damage.value,
        }

    def _request(self, case: Case, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "name": case.name,
            "rule": case.rule,
            "operation": case.operation,
            "rule_set": case.rule_set,
            "access_key": case.caller,
            "document": case.document,
            "body": self._requests.body(case),
            "answer": answer,
        }

    def _envelope(self, recipe: envelopes.EnvelopeRecipe) -> dict[str, Any]:
        return {
            "name": recipe.name,
            "file": _envelope_file(recipe.name),
            "content_form": recipe.form.value,
            "chunks": recipe.chunks,
            "plaintext": _base64(envelopes.plaintext(recipe, self._seed)),
        }

    def _answers(self) -> Mapping[str, Mapping[str, Any]]:
        """What a KMS with these files answers, by the name of the request."""
        defaults = Defaults(ACCOUNT, REGION)
        with mock_aws():
            for key in read_keys(self._folder / _KEYS, defaults):
                add_key(key)
            kms = KmsFake([self._root], clock=lambda: NOW_MS, account=ACCOUNT)
            kms.callers = read_principals(self._folder / _PRINCIPALS, defaults)
            return {case.name: self._answer(kms, case) for case in CASES}

    def _answer(self, kms: KmsFake, case: Case) -> Mapping[str, Any]:
        kms.settings = replace(Settings(), rule_set=RuleSet(case.rule_set))
        body = json.dumps(self._requests.body(case)).encode()
        members = decode_members(Operation(case.operation), body)
        try:
            answer = kms.call(
                case.operation, members, caller=kms.caller(case.caller), region=REGION
            )
        except KmsRefusal as refusal:
            _check(case, refusal.rule)
            return _refused(refusal)
        _check(case, None)
        return _answered(case, answer)


def _check(case: Case, rule: str | None) -> None:
    if rule != case.rule:
        raise WrongVectors(f"the request {case.name} met {rule}, not {case.rule}")


def _refused(refusal: KmsRefusal) -> dict[str, Any]:
    row = _ROWS[refusal.rule]
    return {
        "http_status": refusal.http_status,
        "type": refusal.exception,
        "message": refusal.message,
        "evidence": {
            "type": row.type_evidence.value,
            "text": row.text_evidence.value,
            "order": row.order_evidence.value,
        },
    }


def _answered(case: Case, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The members that are the same each time, and what the others must come to."""
    same = {name: answer[name] for name in ("KeyId", "EncryptionAlgorithm") if name in answer}
    return {
        "http_status": 200,
        "members": same,
        "delivers": "Plaintext" if case.document is None else "CiphertextForRecipient",
        "plaintext": _base64(SECRET) if case.operation == "Decrypt" else None,
    }


def _document_file(name: str) -> str:
    return f"documents/{name}.bin"


def _envelope_file(name: str) -> str:
    return f"envelopes/{name}.ber"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
