"""A fake Nitro Security Module (NSM): what an enclave finds behind `/dev/nsm`.

It holds platform configuration registers (PCRs), answers the seven requests of AWS's NSM API and
signs attestation documents under a simulated PKI of the same profile as AWS's. It is not a
security boundary: its keys are in this process, or in a seed that somebody typed. It knows no KMS
and no machine around it.

The truth it reproduces comes from AWS's `aws-nitro-enclaves-nsm-api`, the Linux driver
(`drivers/misc/nsm.c`), QEMU's `hw/virtio/virtio-nsm.c` and measurements of more than a hundred
attestation documents that real Nitro hardware signed. Each module names its own source.
"""

from nsm_fake.clock import Clock, system_clock
from nsm_fake.document import OuterMap
from nsm_fake.errors import ErrorCode, Evidence, NsmError
from nsm_fake.identity import EnclaveIdentity
from nsm_fake.module import NitroSecurityModule
from nsm_fake.pcrs import (
    Pcr,
    pcr_of_instance_id,
    pcr_of_role_arn,
    pcr_of_signing_certificate,
    pcrs_of_label,
)
from nsm_fake.pki import ClockOutsideValidityError, NsmPki
from nsm_fake.transport import NsmSocketServer

__all__ = [
    "Clock",
    "ClockOutsideValidityError",
    "EnclaveIdentity",
    "ErrorCode",
    "Evidence",
    "NitroSecurityModule",
    "NsmError",
    "NsmPki",
    "NsmSocketServer",
    "OuterMap",
    "Pcr",
    "pcr_of_instance_id",
    "pcr_of_role_arn",
    "pcr_of_signing_certificate",
    "pcrs_of_label",
    "system_clock",
]
