"""`attested-kms inspect`: what an attestation document or an envelope is, and what KMS says of it.

Not a verifier of its own: the verdicts on documents are those of `kms_fake`. `given` finds the
bytes in what the user has; `document` and `policies` report on documents, `envelope` and `parsers`
on CiphertextForRecipient; `text` writes the reports for people. A report is made of dataclasses
whose fields are the names of `--json` (`simulator/schemas/inspect.schema.json`).
"""
