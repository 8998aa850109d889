"""For each trap of the check policies that have it and policies that have not.

Those that have not are the nearest right ones: what the trap's fix makes of the wrong one.
"""

from __future__ import annotations

from tests.simulator.policy_cases_access import ACCESS
from tests.simulator.policy_cases_actions import ACTIONS
from tests.simulator.policy_cases_conditions import CONDITIONS
from tests.simulator.policy_world import Pair

EXAMPLES: dict[str, Pair] = {**ACCESS, **CONDITIONS, **ACTIONS}
