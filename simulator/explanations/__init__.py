"""Why KMS refuses: explanations of its errors, of the clients' around them, and how to find them.

Not a model of KMS (that is `kms_fake`, whose rules the explanations name) but words for people.
The entries stand in the modules of this package, one small value each; `table` holds them all.
Their truth is that of the rows they explain; whatever is no row states its own source.
"""

from simulator.explanations.match import Found, explain
from simulator.explanations.model import Cause, Claim, Explanation, Role, Sdk
from simulator.explanations.table import BY_ID, EXPLANATIONS

__all__ = [
    "BY_ID",
    "EXPLANATIONS",
    "Cause",
    "Claim",
    "Explanation",
    "Found",
    "Role",
    "Sdk",
    "explain",
]
