"""What stands on the parent instance's side of vsock, for enclave programs that nobody changed.

Each service answers at one vsock address of the fabric, that is at one Unix stream socket, on
daemon threads of this process, while its context is open:

    relay     bytes to a TCP address, as AWS's `vsock-proxy` gives it
    kms_tls   KMS under its real names behind TLS, as it stands at the far end of a `vsock-proxy`
    imds      the instance metadata service with the credentials of the parent's role
    trust     the CA bundles by which a program believes `kms_tls`

Nothing here knows a supervisor, and nothing touches AF_VSOCK: a service is given its socket's path,
`Fabric.socket(PARENT_CID, PORT)`.
"""
