"""The principal that an ARN names, where a user says who calls.

Users, roles and the root user have ARNs of IAM, sessions of a role have ARNs of STS: "IAM
identifiers" and "AWS JSON policy elements: Principal" (IAM User Guide, documented). Nothing here
knows whether a user or a role exists.
"""

from __future__ import annotations

import re

from kms_fake.callers import DEFAULT_INSTANCE_ID
from kms_fake.principals import NAME, PATH, Principal

_IAM = re.compile(
    r"arn:(?P<partition>aws(?:-[a-z]+)*):iam::(?P<account>[0-9]{12}):"
    rf"(?:root|(?P<kind>user|role)/{PATH}(?P<name>{NAME}))"
)
# roleSessionNameType of the service model of STS (botocore, data/sts/2011-06-15/service-2.json):
# 2 to 64 characters of [\w+=,.@-], the + among them, of which \w is ASCII here as in IAM's names.
_SESSION = re.compile(
    r"arn:(?P<partition>aws(?:-[a-z]+)*):sts::(?P<account>[0-9]{12}):"
    rf"assumed-role/(?P<role>{NAME})/(?P<session>[A-Za-z0-9_+=,.@-]{{2,64}})"
)

CALLER_ARNS = (
    "arn:aws:iam::ACCOUNT:user/NAME, arn:aws:iam::ACCOUNT:role/NAME, "
    "arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION or arn:aws:iam::ACCOUNT:root"
)
"""What a caller's ARN looks like, for messages."""


class NoCaller(ValueError):
    """The text is the ARN of nobody who could call."""


def principal_of_arn(arn: str, *, session_name: str = DEFAULT_INSTANCE_ID) -> Principal:
    """Who calls as `arn`: a user, the root user, a session of a role.

    A role itself never calls: its ARN, which may hold a path, stands for the session
    `session_name` of it. A session's ARN does not tell the path of its role; it is taken to have
    none. Raises NoCaller.
    """
    session = _SESSION.fullmatch(arn)
    if session is not None:
        role = f"arn:{session['partition']}:iam::{session['account']}:role/{session['role']}"
        return Principal(arn, session["account"], role)
    match = _IAM.fullmatch(arn)
    if match is None:
        raise NoCaller(f"{arn} is the ARN of no caller; give {CALLER_ARNS}")
    if match["kind"] == "role":
        prefix = f"arn:{match['partition']}:sts::{match['account']}:assumed-role"
        return Principal(f"{prefix}/{match['name']}/{session_name}", match["account"], arn)
    return Principal(arn, match["account"], arn)
