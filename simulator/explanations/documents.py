"""Explanations: attestation documents that KMS does not accept. Their real texts are unknown."""

from __future__ import annotations

from kms_fake.evidence import Evidence
from simulator.explanations import snippets
from simulator.explanations.model import Cause, Claim, Explanation, Role

_INSPECT = "`attested-kms inspect document.bin` names the check that fails"

EXPLANATIONS = (
    Explanation(
        id="document.structure",
        error="ValidationException: the attestation document is not COSE_Sign1",
        texts=("it is base64 text, so it was encoded twice",),
        meaning="The bytes in AttestationDocument are no COSE_Sign1 in CBOR.",
        fix="Send the document's own bytes, as the NSM returned them; every SDK encodes once.",
        per_sdk=snippets.DOCUMENT_BYTES,
        causes=(
            Cause(
                "base64 of base64: the text was given where the SDK wants bytes",
                "`attested-kms inspect` says so; on the wire the value then starts with aEVT or "
                "MG9S instead of hESh or 0oRE",
            ),
            Cause("The whole CBOR answer of the NSM, not its document", "starts with a1 6b Attes"),
            Cause("Cut off in transport", "length differs between enclave and host proxy"),
            Cause("JSON, hex or a hash of it", "look at the first bytes: 84 44 a1 01 38 22"),
        ),
    ),
    Explanation(
        id="document.payload",
        error="ValidationException: the attestation document's payload is malformed",
        meaning="COSE is right; a field is missing, has another type, or an impossible value.",
        fix="Take the document from the NSM (or attested-kms) and do not build or edit it.",
        causes=(Cause("Made by a mock or by hand", _INSPECT),),
    ),
    Explanation(
        id="document.certificate",
        error="ValidationException: a certificate of the attestation document cannot be read",
        meaning="certificate or cabundle holds something that is no DER certificate.",
        fix="Take the document from the NSM and pass it on unchanged.",
        causes=(Cause("Made by a mock, or bytes lost on the way", _INSPECT),),
    ),
    Explanation(
        id="document.root",
        error="ValidationException: the attestation document's chain ends in an untrusted root",
        meaning="KMS trusts AWS's Nitro root alone; attested-kms trusts those it was given.",
        fix="Give the server the root that signs your documents: "
        "`attested-kms serve --root FILE`, `--root sim` or `--root aws`.",
        causes=(
            Cause(
                "The server was started anew: without --seed its root is another each time",
                "compare with root_certificate of the ready line",
            ),
            Cause("A real document sent to the simulator", "start it with --root aws"),
            Cause("A simulated document sent to real KMS", "the root's subject says NotAWS"),
        ),
    ),
    Explanation(
        id="document.chain",
        error="ValidationException: the attestation document's certificate chain is broken",
        meaning="A certificate is not signed by the one before it, or may not sign.",
        fix="Send cabundle as the NSM gave it: root first, the leaf apart in certificate.",
        causes=(Cause("Certificates reordered, replaced or left out", _INSPECT),),
    ),
    Explanation(
        id="document.validity",
        error="ValidationException: a certificate of the attestation document is not valid now",
        meaning="A certificate has expired or is not valid yet; leaves live about three hours.",
        fix="Ask the NSM for a new document for each call.",
        causes=(
            Cause("A stored document", "inspect --at document accepts it, --at now does not"),
            Cause("The clock of the machine that runs the fake is wrong", "compare with date -u"),
        ),
    ),
    Explanation(
        id="document.signature",
        error="ValidationException: the attestation document's signature is wrong",
        meaning="The leaf certificate did not sign these bytes.",
        fix="Pass the document on byte for byte; do not decode and encode its CBOR again.",
        causes=(
            Cause("Decoded and encoded again on the way", "another length or map encoding"),
            Cause("A bit lost, or edited", "compare SHA-256 in the enclave and in the proxy"),
        ),
    ),
    Explanation(
        id="document.age",
        error="ValidationException: the attestation document is too old",
        meaning="Its timestamp is more than five minutes before KMS's time.",
        fix="Ask the NSM for a new document for each call; do not keep one in a provider.",
        causes=(
            Cause("A document kept since start-up, or cached", "inspect shows its timestamp"),
            Cause("The enclave's clock runs late", "compare timestamp with the parent's clock"),
            Cause("The call waited in a queue or for retries", "log when the document was made"),
        ),
    ),
    Explanation(
        id="document.future",
        error="ValidationException: the attestation document is from the future",
        meaning="Its timestamp is more than five minutes after KMS's time.",
        fix="Set the clocks; in tests, give enclave and KMS the same clock.",
        causes=(Cause("A test moved one clock only", "compare timestamp with the server's clock"),),
    ),
    Explanation(
        id="kms.validation",
        error="ValidationException with a text that is not known here",
        texts=(
            "ValidationException{}calling the Decrypt operation",
            "ValidationException{}calling the GenerateDataKey operation",
            "KMS: Decrypt{}ValidationException",
            "KMS: GenerateDataKey{}ValidationException",
            "ValidationException{}Service: Kms",
        ),
        meaning="KMS refuses the request itself, before it looks at policies.",
        fix="Inspect the document first: `attested-kms inspect document.bin`. Then send the same "
        "request to `attested-kms serve`, which names its rule in x-attested-kms-rule.",
        causes=(
            Cause("The document: malformed, base64 twice, bad signature, untrusted root", _INSPECT),
            Cause("The document: older than five minutes, or certificates expired", _INSPECT),
            Cause("A member out of its limits", "the text names a member"),
        ),
        rules=("document.structure", "document.signature", "document.age", "document.validity"),
        claim=Claim(
            Evidence.REPORTED,
            "EphemeralML audit on an m6i.xlarge: random bytes and a flipped byte get "
            "ValidationException; nobody has published these texts",
        ),
        role=Role.LAST,
    ),
)
