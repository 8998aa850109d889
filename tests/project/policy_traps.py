"""docs/reference/policy-traps.md, made from the table of the traps. Run it to write the page."""

from __future__ import annotations

from pathlib import Path

from simulator.policy_check.findings import Trap
from simulator.policy_check.traps import TRAPS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "policy-traps.md"

_HEAD = """\
# Traps in policies for attested keys

Made from `simulator/policy_check/traps.py` by `python -m tests.project.policy_traps`.

`attested-kms policy check FILE` looks for these in a key policy, and in the IAM policies that are
given with `--identity`. Where a trap can be shown by evaluating the policy it is reported only if
it is: the finding lists the requests. What the evaluator cannot read it refuses by name, with exit
code 2, and then only what the statements say is reported.

- **error**: the key can be used, or its policy got round, without the attestation that is meant; or
  the policy cannot work. **warning**: it can, under a condition that the policy does not show (most
  often what IAM allows), or the attestation says too little. **info**: right in some designs.
- Evidence is that of the behaviour of the real KMS: **documented** (an AWS text says so),
  **reported** (somebody's run or review), **inferred**.

| trap | severity | what it is | source |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(map(_row, TRAPS)) + "".join(map(_section, TRAPS))


def _severities(trap: Trap) -> str:
    return ", ".join(severity.value for severity in trap.severities)


def _row(trap: Trap) -> str:
    return (
        f"| [`{trap.id}`](#{trap.id}) | {_severities(trap)} | {trap.title} | {trap.source} "
        f"({trap.evidence.value}) |\n"
    )


def _section(trap: Trap) -> str:
    return f"\n## {trap.id}\n\n{trap.title}. {trap.why}\n\n**Fix:** {trap.fix}\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
