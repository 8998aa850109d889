"""The simulated world in which the hardware target is rehearsed, unchanged.

A simulated parent instance, an AWS behind one endpoint and an instance metadata service; a command
that runs on that instance, as the suite runs on a real one; and at its end what is left of it.
`attested-kms rehearsal` is this package's only user.

It is not the hardware: what it cannot show is in docs/reference/rehearsal.md. Source of truth for
what AWS answers: each module names its own.
"""
