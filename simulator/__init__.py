"""The machine around the two fakes: clock, vsock fabric, enclave life cycle, host proxy, command.

It joins the fake NSM and the KMS fake, which do not know each other, and runs the workload's real
processes against them.
"""
