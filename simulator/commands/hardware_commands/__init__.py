"""The commands of `attested-kms hardware`, one module each.

A module has the texts HELP and DESCRIPTION, `configure(parser)` and `run(options)`, as a
subcommand of `attested-kms` has.
"""
