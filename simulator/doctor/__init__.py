"""`attested-kms doctor`: what stands between a machine and a running enclave, named step by step.

Checks are data (`model.Check`), each with a probe that looks at the machine through one small
interface (`host.Host`), and with nothing else: so a broken machine is a folder of files in a test,
and a simulated parent instance is looked at as a real one. Doctor changes nothing.

It is no substitute for the errors of nitro-cli and KMS, which `attested-kms explain` knows; it says
beforehand which of them will come.
"""
