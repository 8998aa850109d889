"""What `attested-kms policy check` says of a key policy: who can call what, and the known traps.

    reading      files into policies, as AWS's own tools write them
    statements   the statements, with what their conditions say of attestation
    subjects     the principals that are asked about
    requests     the requests that are made on their behalf, with and without a document
    evaluation   what the evaluator of `kms_fake` says of one request
    study        all of that together: what the traps look at
    traps        the table of the traps; one function each in `access_traps`, `condition_traps`
                 and `action_traps`
    report       the result, as text and as JSON

It is not a proof that a policy is safe: grants that exist, organization policies and the IAM
policies of other principals are not seen. Where a trap can be shown by evaluating the policy it is
reported only if it is; what cannot be evaluated is found by what the statement says.
"""
