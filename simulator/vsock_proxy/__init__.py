"""`vsock-proxy` of the simulated parent instance: vsock port PORT of CID 3 joined to a TCP target.

Bytes only, and the real one's manners: an allowlist that is asked once, workers for whom others
wait, one buffer per connection, the end of one side the end of both. Its socket stands in the
machine's fabric. What it is not: a name server (names are those of the instance's /etc/hosts, then
of this system), systemd (`systemctl` starts it there), and the services of `attested-kms run`
(`simulator.parent_services`), which have none of these limits.

Source: aws-nitro-enclaves-cli v1.4.4, vsock_proxy/. `inferred` from there, unless its place says
otherwise.
"""
