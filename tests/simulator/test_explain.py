"""`attested-kms explain`: every text of the fake and of its clients, as users paste it."""

from __future__ import annotations

import base64
import html
import http.client
import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from botocore.exceptions import ClientError, ParamValidationError
from hypothesis import given
from hypothesis import strategies as st

from kms_fake import KmsRefusal, KmsServer, serving
from kms_fake.catalogue import ROWS
from kms_fake.evidence import Evidence
from kms_fake.key_import import CIPHERTEXT, NO_DATE, PENDING
from kms_fake.other_refusals import POLICY_LOCKOUT, OtherRefusal
from kms_fake.rules import Rule
from simulator.explanations import BY_ID, EXPLANATIONS, Explanation, Role, Sdk, explain
from simulator.explanations.report import evidence, rules, source
from tests.kms_fake import world
from tests.kms_fake.conftest import client
from tests.kms_fake.recorded_cases import LOCALSTACK, OTHERS, Recorded
from tests.kms_fake.rule_cases import SINGLES, Case
from tests.kms_fake.test_http_front import SIGNED
from tests.kms_fake.test_neighbours import CASES, judged

TRANSCRIPTS = yaml.safe_load((Path(__file__).parent / "transcripts.yaml").read_text())

NO_KEY = "You must specify a recipient public key in this request."
NO_ALGORITHM = "You must specify an encryption algorithm in this request."
DENIED = (
    "User: arn:aws:sts::111122223333:assumed-role/enclave/i-0abc is not authorized to perform: "
    "kms:Decrypt on resource: arn:aws:kms:us-east-1:111122223333:key/"
    "1234abcd-12ab-34cd-56ef-1234567890ab because no resource-based policy allows the kms:Decrypt "
    "action"
)


def ids(text: str) -> list[str]:
    return [match.explanation.id for match in explain(text)]


def all_rules(text: str) -> set[str]:
    return {rule for match in explain(text) for rule in rules(match.explanation)}


# The table itself.


@pytest.mark.parametrize("entry", EXPLANATIONS, ids=lambda entry: entry.id)
def test_an_entry_is_whole(entry: Explanation) -> None:
    assert (entry.id in ROWS) is (entry.claim is None), (
        "the evidence of a row is the row's: take the claim away; whatever is no row needs one"
    )
    assert source(entry)
    assert set(evidence(entry).values()) <= {item.value for item in Evidence}
    assert "recorded" not in evidence(entry).values()
    assert set(entry.rules) <= set(ROWS)
    assert entry.error
    assert entry.meaning.endswith(".")
    assert entry.correction == "" or entry.field_note


def test_ids_are_unique() -> None:
    assert len(BY_ID) == len(EXPLANATIONS)


@pytest.mark.parametrize("entry", EXPLANATIONS, ids=lambda entry: entry.id)
def test_an_entry_is_found_by_its_id_and_by_each_of_its_texts(entry: Explanation) -> None:
    assert ids(entry.id) == [entry.id]
    for text in entry.texts:
        assert entry.id in ids(text.replace("{}", " x "))


def test_what_hides_the_reason_names_none() -> None:
    assert all(not entry.rules for entry in EXPLANATIONS if entry.role is Role.WRAPPER)


# What the fake says.


@pytest.mark.parametrize("case", SINGLES, ids=lambda case: case.name)
def test_each_text_of_the_rule_table_finds_its_rule(case: Case) -> None:
    request = case.request()
    with pytest.raises(KmsRefusal) as caught:
        world.fake(**request.settings).call(
            request.operation, request.build(), caller=request.caller()
        )
    for text in (str(caught.value), json.dumps(caught.value.body()), caught.value.message):
        assert case.rule in all_rules(text or "InvalidCiphertextException")


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.id)
def test_each_row_is_explained(row: Rule | OtherRefusal) -> None:
    assert any(row.id in rules(entry) for entry in EXPLANATIONS), (
        f"add an Explanation with the id {row.id} to simulator/explanations, or name it in one"
    )
    assert all_rules(f"HTTP/1.1 400\nx-attested-kms-rule: {row.id}\n") >= {row.id}
    if row.text is None:
        refusal = row.refuse("Something is wrong.")
        assert all_rules(str(refusal)) >= {row.id}
        assert all_rules(json.dumps(refusal.body())) >= {row.id}


CLIENT_ERROR = "An error occurred ({}) when calling the {} operation: {}"


@pytest.mark.parametrize(
    ("rule", "operation", "make"),
    CASES,
    ids=[f"{rule}-{operation}-{at}" for at, (rule, operation, _) in enumerate(CASES)],
)
def test_each_refusal_of_a_neighbour_finds_its_rule(
    rule: str, operation: str, make: Callable[[], dict[str, Any]]
) -> None:
    refusal = judged(operation, make())
    assert refusal is not None
    assert rule in all_rules(CLIENT_ERROR.format(refusal.exception, operation, refusal.message))
    if refusal.message:
        assert rule in all_rules(str(refusal))
        assert rule in all_rules(json.dumps(refusal.body()))


BESIDE = [
    (POLICY_LOCKOUT, "PutKeyPolicy", ""),
    (NO_DATE, "ImportKeyMaterial", ""),
    (CIPHERTEXT, "ImportKeyMaterial", ""),
    (
        PENDING,
        "ImportKeyMaterial",
        (
            "New key material (id: a1) cannot be imported into KMS key arn:aws:kms:us-east-1:"
            "111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab, because another key material "
            "(id: b2)"
        ),
    ),
]


@pytest.mark.parametrize(
    ("row", "operation", "found"),
    BESIDE,
    ids=lambda value: value.id if isinstance(value, OtherRefusal) else "",
)
def test_each_text_beside_the_tables_finds_its_row(
    row: OtherRefusal, operation: str, found: str
) -> None:
    refusal = row.refuse(found)
    text = CLIENT_ERROR.format(refusal.exception, operation, refusal.message)
    (match,) = explain(text)
    assert row.id in rules(match.explanation)


def test_every_row_with_a_real_text_is_tried_with_it() -> None:
    tried = {case.rule for case in SINGLES} | {rule for rule, _, _ in CASES}
    tried |= {row.id for row, _, _ in BESIDE}
    assert {row.id for row in ROWS.values() if row.text is not None} <= tried


RECORDED = [
    recorded
    for recorded in (*LOCALSTACK, *OTHERS)
    if recorded.message
    or recorded.code not in {"ValidationException", "UnsupportedOperationException"}
]
"""Without the two that are an exception's name alone, which says too little; see NEIGHBOURS."""


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.source)
def test_what_real_kms_was_recorded_to_say_is_known(recorded: Recorded) -> None:
    message = recorded.message.format(key=ARN, new="a1", pending="b2")
    assert explain(f"{recorded.code}: {message}")


def test_texts_that_rows_share_name_all_of_them_the_likelier_first() -> None:
    assert ids(NO_ALGORITHM) == [
        "recipient.key-encryption-algorithm",
        "recipient.encryption-algorithm",
    ]
    assert ids('{"__type":"InvalidCiphertextException"}') == [
        "ciphertext.decryption",
        "ciphertext.unparsable",
    ]


def test_the_field_notes_8_1_are_corrected() -> None:
    for match in explain(NO_ALGORITHM):
        assert match.explanation.field_note == "8.1"
        assert "KeyEncryptionAlgorithm" in match.explanation.correction


def test_a_denial_names_its_causes_in_order() -> None:
    (match,) = explain(DENIED)
    causes = [cause.what for cause in match.explanation.causes]
    words = ("No Recipient", "debug", "built again", "Upper-case", "condition key", "principal")
    assert [next(i for i, cause in enumerate(causes) if word in cause) for word in words] == list(
        range(6)
    )
    assert "kms:Sign" in causes[6]


# What others say.


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda item: item["source"])
def test_real_transcripts(transcript: dict[str, Any]) -> None:
    assert ids(transcript["text"]) == transcript["finds"]
    assert set(transcript.get("rules", ())) <= all_rules(transcript["text"])


def test_there_are_enough_of_them() -> None:
    with_rule = {item["source"] for item in TRANSCRIPTS if item.get("rules")}
    assert len(with_rule) >= 15
    assert all(item["source"].startswith("https://github.com/") for item in TRANSCRIPTS)


ARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CONSTRAINT = "1 validation error detected: Value {} failed to satisfy constraint: Member must "

NEIGHBOURS = [
    ("ValidationException: NumberOfBytes is required.", "request.number-of-bytes"),
    (
        CONSTRAINT.format("'1025' at 'numberOfBytes'") + "have value less than or equal to 1024",
        "request.constraint",
    ),
    (
        CONSTRAINT.format("at 'plaintext'") + "have length less than or equal to 4096",
        "request.constraint",
    ),
    (
        CONSTRAINT.format("'INVALID' at 'keyAgreementAlgorithm'")
        + "satisfy enum value set: [ECDH]",
        "request.constraint",
    ),
    (
        CONSTRAINT.format("'RSAES_OAEP_SHA_1' at 'recipient.keyEncryptionAlgorithm'")
        + "satisfy enum value set: [RSAES_OAEP_SHA_256]",
        "request.key-encryption-algorithm-value",
    ),
    (
        "The key ID in the request does not identify a CMK that can perform this operation.",
        "key-id.mismatch",
    ),
    (
        CLIENT_ERROR.format("ValidationException", "Decrypt", "KeyId must not be null"),
        "key-id.missing",
    ),
    (f"{ARN} key usage is SIGN_VERIFY which is not valid for DeriveSharedSecret.", "key.usage"),
    (f"DisabledException: {ARN} is disabled.", "key.disabled"),
    (f"{ARN} is disabled.", "key.disabled"),
    (f"KMSInvalidStateException: {ARN} is pending import.", "key.state"),
    (f"Key '{ARN}' does not exist", "key-id.not-found"),
    ("NotFoundException: Invalid keyId 'fake-key-id'", "key-id.not-found"),
    ("NotFoundException: Invalid arn us-west-2", "key-id.not-found"),
    ("The request would have succeeded, but the DryRun option is set.", "request.dry-run"),
    (
        "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190.",
        "encrypt.length",
    ),
    (
        "EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs.",
        "key.encryption-context",
    ),
    ("Digest is invalid length for algorithm ECDSA_SHA_256.", "request.digest"),
    ("Algorithm HMAC_SHA_256 is incompatible with key spec HMAC_224.", "key.mac-algorithm"),
    (f"KMS: {ARN} origin is EXTERNAL which is not valid for this operation.", "key.origin"),
    ('Alias must start with the prefix "alias/". Please see https://docs.aws', "request.alias"),
    ("KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048", "request.key-usage"),
    ("TagException: Duplicate tag keys", "request.tags"),
    ("KMSInvalidSignatureException", "key.signature"),
    (f"KMSInvalidStateException: {ARN} is not pending deletion.", "deletion.not-pending"),
    (f"KMSInvalidStateException: {ARN} is pending deletion.", "key.state"),
    ("Algorithm ECDSA_SHA_256 is incompatible with key spec RSA_2048.", "signature.algorithm"),
    (
        "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.",
        "key.algorithm",
    ),
    (
        CLIENT_ERROR.format("InvalidCiphertextException", "ImportKeyMaterial", ""),
        "import.ciphertext",
    ),
    (
        CLIENT_ERROR.format("ValidationException", "DeriveSharedSecret", ""),
        "agreement.public-key",
    ),
    (
        CLIENT_ERROR.format("UnsupportedOperationException", "RotateKeyOnDemand", ""),
        "rotation.key-spec",
    ),
]


@pytest.mark.parametrize(("text", "expected"), NEIGHBOURS)
def test_neighbouring_texts(text: str, expected: str) -> None:
    assert ids(text) == [expected]


RENDERINGS = {
    "boto3": "botocore.exceptions.ClientError: An error occurred (ValidationException) when "
    "calling the Decrypt operation: {}",
    "JSON": '{{"__type":"ValidationException","message":"{}"}}',
    "Rust": "Err(ServiceError(ServiceError {{ source: Unhandled(Unhandled {{ source: "
    'ErrorMetadata {{ code: Some("ValidationException"), message: Some("{}"), extras: None }}, '
    "meta: ... }}) }}))",
    "Go": "operation error KMS: Decrypt, https response error StatusCode: 400, RequestID: "
    "9a473643-0000, api error ValidationException: {}",
    "Java": "software.amazon.awssdk.services.kms.model.KmsException: {} (Service: Kms, Status "
    "Code: 400, Request ID: 9a473643-0000) (SDK Attempt Count: 1)",
    "JavaScript": "ValidationException: {}\n    at throwDefaultError "
    "(/app/node_modules/@smithy/smithy-client/dist-cjs/index.js:867:20)\n    at "
    "de_CommandError (/app/node_modules/@aws-sdk/client-kms/dist-cjs/index.js)",
    "CLI": "aws: [ERROR]: An error occurred (ValidationException) when calling the Decrypt "
    "operation: {}",
}


@pytest.mark.parametrize("rendering", RENDERINGS.values(), ids=list(RENDERINGS))
def test_as_each_sdk_prints_it(rendering: str) -> None:
    assert ids(rendering.format(NO_KEY)) == ["public-key.missing"]
    assert ids(rendering.format("Invalid public key")) == ["public-key.encoding"]


DAMAGE: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "wrapped at words": lambda text: textwrap.fill(text, 30),
    "wrapped within words": lambda text: "\r\n".join(
        text[start : start + 31] for start in range(0, len(text), 31)
    ),
    "indented": lambda text: textwrap.indent(textwrap.fill(text, 30), "    | "),
    "escaped": lambda text: json.dumps(text + "\n\tat x"),
    "escaped twice": lambda text: json.dumps(json.dumps({"error": text + "\n"})),
    "HTML": lambda text: html.escape(f"<b>{text}</b>"),
    "coloured": lambda text: "\x1b[1m\x1b[91m" + text.replace(" ", " \x1b[0m\x1b[1m") + "\x1b[0m",
    "colours copied": lambda text: "\u2190[31m" + text.replace(" ", " \u2190[39m"),
    "colours escaped": lambda text: "\\u001b[31m" + text.replace(" ", " \\x1b[0m"),
    "curly quotes": lambda text: f"\u201c{text.replace(chr(39), chr(0x2019))}\u201d",
    "other spaces": lambda text: text.replace(" ", "\u00a0"),
    "amid a log": lambda text: f"INFO started\n2026-01-27T19:10:11Z ERROR {text}\nINFO stopped\n",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"ValidationException: {NO_KEY}", "public-key.missing"),
        (DENIED, "authorization.key-policy"),
        ("Got non-200 answer from KMS: 400", "client.c"),
        ("The NSM is old. [attested-kms: real text unknown, document.age]", "document.age"),
        (f"Key '{ARN}' does not exist", "key-id.not-found"),
    ],
)
def test_whatever_happened_to_it_on_the_way(
    damage: Callable[[str], str], text: str, expected: str
) -> None:
    assert ids(damage(text)) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("specify a recipient public key", ["public-key.missing"]),
        ("no resource-based policy allows", ["authorization.key-policy"]),
        ("because no resource-based policy allows", ["authorization.key-policy"]),
        ("explicit deny in a resource-based policy", ["authorization.key-policy-deny"]),
        (
            "when calling the Decrypt operation: You must specify a recipient p",
            ["public-key.missing"],
        ),
        ("...y a recipient public key in this request.", ["public-key.missing"]),
        ("INFO x\nERROR You must specify a recipient pub...\nINFO y", ["public-key.missing"]),
        ("non-200 answer from KMS", ["client.c"]),
        ("Invalid public key", ["public-key.encoding"]),
        (
            "in this request",
            [
                "recipient.key-encryption-algorithm",
                "recipient.encryption-algorithm",
                "public-key.missing",
            ],
        ),
    ],
)
def test_fragments(text: str, expected: Sequence[str]) -> None:
    assert ids(text) == expected


def test_several_errors_come_in_their_order_and_what_clients_print_around_is_left_out() -> None:
    log = f"""
    12:00:01 Got non-200 answer from KMS: 400
    12:00:01 {{"__type":"ValidationException","message":"Invalid public key"}}
    12:00:02 Could not decrypt ciphertext
    12:00:05 {DENIED}
    12:00:07 {NO_KEY}
    12:00:09 {DENIED}
    """
    assert ids(log) == ["public-key.encoding", "authorization.key-policy", "public-key.missing"]


def test_a_text_that_says_no_more_than_its_exception() -> None:
    for text in (
        "An error occurred (ValidationException) when calling the Decrypt operation: Whatever",
        "operation error KMS: GenerateDataKey, api error ValidationException: Whatever",
    ):
        assert ids(text) == ["kms.validation"]
        assert "document.signature" in all_rules(text)
    text = "An error occurred (AccessDeniedException) when calling the Decrypt operation: "
    assert ids(text) == ["kms.access-denied"]
    assert ids("x is not authorized to perform: kms:Decrypt on resource: y") == [
        "authorization.no-reason"
    ]


UNRELATED = {
    "S3": "An error occurred (AccessDenied) when calling the GetObject operation: User: "
    "arn:aws:sts::111122223333:assumed-role/app/i-0abc is not authorized to perform: s3:GetObject "
    'on resource: "arn:aws:s3:::bucket/key" because no identity-based policy allows the '
    "s3:GetObject action",
    "S3, wrapped": "User: x is not authorized to perform: s3:GetObject on resource: y because no "
    "identity-based policy allows the\ns3:GetObject action",
    "DynamoDB": "botocore.exceptions.ClientError: An error occurred (ValidationException) when "
    "calling the PutItem operation: 1 validation error detected: Value '' at 'tableName' failed to "
    "satisfy constraint: Member must have length greater than or equal to 3",
    "Docker": "docker: Error response from daemon: pull access denied for app, repository does "
    "not exist or may require 'docker login': denied: requested access to the resource is denied.",
    "Lambda": "An error occurred (AccessDeniedException) when calling the Invoke operation: User: "
    "arn:aws:iam::111122223333:user/a is not authorized to perform: lambda:InvokeFunction on "
    "resource: b because no resource-based policy allows the lambda:InvokeFunction action",
    "rustc": "error[E0308]: mismatched types\n --> src/main.rs:2:18\n  |\n2 |     let x: i32 = "
    '"a";\n  |            ---   ^^^ expected `i32`, found `&str`',
    "SSH": 'Load key "/home/a/.ssh/id_rsa.pub": invalid format; Invalid public key in line 3',
    "SQS": "SSO/role is not authorized to perform: sqs:receivemessage on resource: arn:aws:sqs:us-"
    "east-2:1:q with an explicit deny in a service control policy: arn:aws:organizations::1:p",
    "Go": "asn1: structure error: tags don't match (16 vs {class:0 tag:13}) parsing certificate",
    "nothing": "Everything is fine.",
    "short": "KMS",
    "a name alone": "ValidationException",
    "AccessDeniedException alone": "AccessDeniedException",
}


@pytest.mark.parametrize("text", UNRELATED.values(), ids=list(UNRELATED))
def test_unrelated_texts_are_unknown(text: str) -> None:
    assert ids(text) == []


@given(st.text(), st.text())
def test_whatever_stands_around_it(before: str, after: str) -> None:
    text = f"{before}\n{NO_KEY}\n{after}"
    found = explain(text)
    assert "public-key.missing" in [match.explanation.id for match in found]
    assert all(0 <= match.span.start < match.span.end <= len(text) for match in found)


# Real clients, real compilers.


@pytest.mark.parametrize(
    ("operation", "members", "expected"),
    [
        ("decrypt", {"CiphertextBlob": b"x", "Recipient": b"abc"}, "client.recipient-type"),
        (
            "decrypt",
            {"CiphertextBlob": b"x", "Recipient": {"attestationDocument": b"x"}},
            "client.recipient-member",
        ),
        (
            "decrypt",
            {"CiphertextBlob": b"x", "Recipient": {"AttestationDocument": 5}},
            "client.recipient-value",
        ),
        ("decrypt", {"CiphertextBlob": b"x", "recipient": {}}, "client.member-case"),
        (
            "encrypt",
            {"KeyId": "x", "Plaintext": b"", "Recipient": {}},
            "client.recipient-operation",
        ),
        (
            "generate_data_key_without_plaintext",
            {"KeyId": "x", "Recipient": {}},
            "client.recipient-operation",
        ),
    ],
)
def test_what_boto3_refuses_itself(operation: str, members: dict[str, Any], expected: str) -> None:
    with pytest.raises(ParamValidationError) as caught:
        getattr(client(), operation)(**members)
    assert ids(str(caught.value)) == [expected]


def test_an_old_botocore_is_told_to_upgrade() -> None:
    text = 'ParamValidationError: Unknown parameter in input: "Recipient", must be one of: '
    old = "CiphertextBlob, EncryptionContext, GrantTokens, KeyId, EncryptionAlgorithm"
    assert ids(text + old) == ["client.recipient-unsupported"]


RUSTC = """
error[E0308]: mismatched types
  --> src/main.rs:9:20
   |
9  |         .recipient(Blob::new(attestation_doc))
   |          --------- ^^^^^^^^^^^^^^^^^^^^^^^^^^ expected `RecipientInfo`, found `Blob`
   |          |
   |          arguments to this method are incorrect
"""


def test_what_a_compiler_refuses() -> None:
    assert ids(RUSTC) == ["client.recipient-type"]
    assert ids(RUSTC.replace("`RecipientInfo`", "\x1b[1m`RecipientInfo`\x1b[0m")) == [
        "client.recipient-type"
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[KmsServer]:
    with serving(world.fake()) as running:
        yield running


@pytest.fixture
def kms(server: KmsServer) -> Iterator[Any]:
    connected = client(endpoint_url=server.endpoint)
    yield connected
    connected.close()


def test_a_traceback_of_boto3_from_the_real_socket(kms: Any) -> None:
    with pytest.raises(ClientError) as caught:
        kms.generate_data_key(KeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    assert ids(repr(caught.value)) == ["request.data-key-size"]


def test_a_document_encoded_twice_is_the_first_cause(kms: Any) -> None:
    document = base64.b64encode(world.Document().build()).decode()
    recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": document}
    with pytest.raises(ClientError) as caught:
        kms.decrypt(CiphertextBlob=b"x", Recipient=recipient)
    (match,) = explain(str(caught.value))
    assert match.explanation.id == "document.structure"
    assert "base64 of base64" in match.explanation.causes[0].what


def test_recipient_as_a_blob_on_the_wire(server: KmsServer) -> None:
    """Bug 6 of the field notes as a client without a model makes it."""
    body = json.dumps({"CiphertextBlob": "eA==", "Recipient": "eA=="})
    connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc)
    connection.request("POST", "/", body, SIGNED | {"X-Amz-Target": "TrentService.Decrypt"})
    answer = connection.getresponse().read().decode()
    connection.close()
    (match,) = explain(answer)
    assert (match.explanation.id, match.explanation.field_note) == ("request.member-type", "6")


# The AWS CLI, as docs/how-to/aws-cli.md shows it.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Error parsing parameter '--recipient': Expected: '=', received: '+' for input:",
            "client.cli-recipient",
        ),
        ("'in <string>' requires string as left operand, not int", "client.cli-recipient"),
        (
            'aws kms decrypt --recipient ...\nInvalid base64: "fileb://doc.bin"',
            "client.cli-base64",
        ),
        (
            "aws: [ERROR]: 'in <string>' requires string as left operand, not int",
            "client.cli-recipient",
        ),
        (
            (
                "Unable to load paramfile (doc.bin), text contents could not be decoded.  If this "
                "is a binary file, please use the fileb:// prefix instead of the file:// prefix."
            ),
            "client.cli-file",
        ),
        ("not valid: it is base64 text, so it was encoded twice.", "document.structure"),
        (
            "encoded twice. [attested-kms: real text unknown, document.structure]",
            "document.structure",
        ),
    ],
)
def test_what_the_cli_says_of_recipient(text: str, expected: str) -> None:
    (match,) = explain(text)
    assert match.explanation.id == expected
    assert "AttestationDocument@=fileb://" in match.explanation.per_sdk[Sdk.CLI]


def test_an_unrelated_mistake_in_python_is_unknown() -> None:
    assert ids("TypeError: 'in <string>' requires string as left operand, not int, line 3") == []
