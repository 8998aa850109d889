"""`attested-kms fidelity`: the rule table beside what hardware was seen to do.

`observations` takes from records what they observed of rules; `judging` says of each whether the
table agrees; `unknowns` knows which of the suite's open questions nobody has recorded yet; `report`
prints. Nothing here changes the table: a record that settles something is for people to enter.
Source of truth: `kms_fake/rules.py`, `scenarios/*.validation.json`.
"""
