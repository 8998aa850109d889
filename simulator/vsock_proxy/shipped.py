"""The allowlist that is installed: KMS of each region and nothing else, neither STS nor IMDS.

Source: vsock_proxy/configs/vsock-proxy.yaml, of which this makes the bytes.
"""

from __future__ import annotations

CONFIGURATION = "/etc/nitro_enclaves/vsock-proxy.yaml"

_REGIONS = """
us-east-2 us-east-1 us-west-1 us-west-2 af-south-1 ap-east-1 ap-south-2 ap-southeast-3
ap-southeast-5 ap-southeast-4 ap-south-1 ap-southeast-6 ap-northeast-3 ap-northeast-2
ap-southeast-1 ap-southeast-2 ap-east-2 ap-southeast-7 ap-northeast-1 ca-central-1 ca-west-1
eu-central-1 eu-west-1 eu-west-2 eu-south-1 eu-west-3 eu-south-2 eu-north-1 eu-central-2
il-central-1 mx-central-1 me-south-1 me-central-1 sa-east-1 us-gov-east-1 us-gov-west-1
cn-north-1 cn-northwest-1
"""


def allowlist_text() -> str:
    """The file; the names are below amazonaws.com in China too, where they are none of KMS."""
    entries = [
        f"- {{address: {service}.{region}.amazonaws.com, port: 443}}"
        for region in _REGIONS.split()
        for service in ("kms", "kms-fips")
    ]
    return "\n".join(["allowlist:", *entries, ""])
