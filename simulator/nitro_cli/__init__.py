"""`nitro-cli` as scripts and people meet it: arguments, streams, exit codes, error logs.

It is the process that ends with the command. What a machine keeps between commands (enclaves, CPU
pool, huge pages) is the broker's, `simulator.machine`, which is asked over a Unix socket and
started when nobody answers there. Commands that ask it import the standard library only, so that
they start as quickly as a script expects of a native program; `build-enclave`, `describe-eif`,
`pcr` and `sign-eif` need no machine and import what they use.

Source of all behaviour: aws-nitro-enclaves-cli, tags v1.4.4 and v1.5.0, read and not run; so its
evidence is `inferred` wherever nothing else stands beside a rule.
"""
