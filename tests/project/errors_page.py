"""docs/reference/errors.md, made from the explanations. Run it to write the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from simulator.explanations import EXPLANATIONS, Explanation, Sdk, snippets
from simulator.explanations.report import evidence, fixes, rules, source

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"

_TITLES = {
    "recipient": "Recipient",
    "public-key": "The public key in the document",
    "document": "The attestation document",
    "kms": "KMS without its text",
    "authorization": "Authorization",
    "ciphertext": "Ciphertexts",
    "key-id": "Key ids",
    "key": "Keys",
    "request": "Requests",
    "encrypt": "Encrypt",
    "grant": "Grants",
    "replicate-key": "ReplicateKey",
    "deletion": "Deletion of keys",
    "rotation": "Rotation",
    "signature": "Signatures",
    "agreement": "DeriveSharedSecret",
    "import": "Imported key material",
    "policy": "Policies when set",
    "operation": "Other operations",
    "caller": "Credentials",
    "http": "The server",
    "fake": "What is not simulated",
    "emulator": "Other emulators",
    "client": "Clients",
    "envelope": "CiphertextForRecipient",
    "host": "The parent instance",
    "ssm": "Systems Manager",
}
_SHARED: tuple[tuple[str, Mapping[Sdk, str]], ...] = (
    ("Recipient in each SDK", snippets.RECIPIENT),
    ("The document's bytes in each SDK", snippets.DOCUMENT_BYTES),
    ("SPKI in each language", snippets.SPKI),
    ("The NSM request in each language", snippets.NSM_PUBLIC_KEY),
    ("Reading the envelope in each language", snippets.ENVELOPE),
    ("The size of a data key in each SDK", snippets.DATA_KEY_SIZE),
    ("Versions that know Recipient", snippets.UPGRADE),
)
"""Fixes that many entries share stand once, at the end."""

_HEAD = """# Errors and what to do about them

Everything that `attested-kms explain TEXT` knows, made from its table
(`python -m tests.project.errors_page`; a test checks that this page is current). Where an entry
is a row of the KMS fake, its evidence is given apart for the exception's type and its text, as in
the README; for the others it is that of the explanation.
"""


def page() -> str:
    """The whole page."""
    order = list(_TITLES)
    entries = sorted(EXPLANATIONS, key=lambda entry: order.index(_area(entry)))
    sections = (
        f"\n## {_TITLES[area]}\n" + "".join(f"\n{_entry(entry)}" for entry in group)
        for area, group in groupby(entries, _area)
    )
    shared = (f"\n## {title}\n\n" + "".join(_bullets(fix)) for title, fix in _SHARED)
    return _HEAD + "".join(sections) + "".join(shared)


def _area(explanation: Explanation) -> str:
    return explanation.id.split(".")[0]


def _entry(explanation: Explanation) -> str:
    return "".join(f"{line}\n" for line in _lines(explanation))


def _lines(explanation: Explanation) -> Iterator[str]:
    yield f"### `{explanation.id}`"
    yield ""
    yield f"> {_plain(explanation.error)}"
    yield ""
    yield f"**Fix.** {_plain(explanation.fix)}"
    yield ""
    title = next((title for title, fix in _SHARED if fix is explanation.per_sdk), None)
    if title is not None:
        anchor = title.lower().replace(" ", "-").replace("'", "")
        yield f"See [{title}](#{anchor})."
        yield ""
    elif explanation.per_sdk:
        yield "".join(_bullets(dict(fixes(explanation))))
    yield f"**Meaning.** {_plain(explanation.meaning)}"
    yield ""
    for number, cause in enumerate(explanation.causes, 1):
        tell = f" Tell: {_plain(cause.tell)}" if cause.tell else ""
        yield f"{number}. {_plain(cause.what)}.{tell}"
    if explanation.causes:
        yield ""
    if explanation.field_note:
        correction = _plain(explanation.correction)
        yield f"**Field notes**, bug {explanation.field_note}. {correction}".rstrip()
        yield ""
    others = [rule for rule in rules(explanation) if rule != explanation.id]
    if others:
        yield "**Rules** that answer so: " + ", ".join(f"`{rule}`" for rule in others)
        yield ""
    known = ", ".join(f"{what} {how}" for what, how in evidence(explanation).items())
    yield f"**Evidence.** {known}: {_plain(source(explanation))}"


def _bullets(per_sdk: Mapping[Sdk, str]) -> Iterator[str]:
    return (f"- {sdk.label}: {_plain(fix)}\n" for sdk, fix in per_sdk.items())


def _plain(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
