"""The suite of documented behaviours and bugs, and what it needs from a target.

`scenarios.target` is the contract, `scenarios.workload` the reference application under test. The
tests beside them say what must happen on the simulator and on real Nitro hardware alike.
"""
