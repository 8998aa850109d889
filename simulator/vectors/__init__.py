"""Test vectors for suites in other languages: `attested-kms vectors --seed N DIR`.

Documents, requests with the answer they get, envelopes with key and plaintext, and one JSON index
of them all. Everything derives from the seed, at one moment that never changes, so that the same
seed writes the same bytes anywhere; only the two RSA keys are fixed, since RSA keys cannot be
derived. The answers are not written by hand: each request is put to the KMS fake when the vectors
are made, and must meet the rule that it is there to show.
"""
