"""The reference application under test: enclave program, host proxy, and their wire protocol.

It is what a user's own enclave application would be, so it imports nothing of this project: it
asks an NSM, speaks over vsock, calls KMS by boto3, and knows of no fake.
"""
