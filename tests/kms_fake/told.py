"""The one denial that a caller is told, by the order of the rule table's rows."""

from __future__ import annotations

from kms_fake.authorization import AccessRequest, Denial, IdentityPermissions, assess
from kms_fake.policy import Policy
from kms_fake.rules import RULES

_ROWS = {
    "authorization.boundary-deny": Denial.BOUNDARY_EXPLICIT,
    "authorization.session-deny": Denial.SESSION_EXPLICIT,
    "authorization.boundary": Denial.NO_BOUNDARY_ALLOW,
    "authorization.session": Denial.NO_SESSION_ALLOW,
    "authorization.identity-deny": Denial.IDENTITY_EXPLICIT,
    "authorization.key-policy-deny": Denial.RESOURCE_EXPLICIT,
    "authorization.key-policy": Denial.NO_RESOURCE_ALLOW,
    "authorization.identity": Denial.NO_IDENTITY_ALLOW,
}
_AS_TOLD = [_ROWS[rule.id] for rule in RULES if rule.id in _ROWS]


def authorize(
    request: AccessRequest, key_policy: Policy, identity: IdentityPermissions
) -> Denial | None:
    """Why `request` is denied, or None if it is allowed. Raises ValueError as `assess` does."""
    denials = assess(request, key_policy, identity).denials
    return next((denial for denial in _AS_TOLD if denial in denials), None)
