"""The policy evaluator beside another one: `@cloud-copilot/iam-simulate`, which shares no code.

Thousands of pairs of policies and a request are put to both. They must agree on whether the request
is allowed; a difference must belong to one of the classes below, each with its reason.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from kms_fake.authorization import AccessRequest, IdentityPermissions, Principal, assess
from kms_fake.policy import Policy, PolicyKind, parse_policy
from tests.interop.policy_pairs import ROOT, Pairs, features

SEED = 7
PAIRS = 5000
JUDGE = Path(__file__).parent / "iam_simulate"

Pair = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """A class of pairs on which the two may differ."""

    name: str
    ours_allows: bool
    """Which way it goes."""
    fits: Callable[[Pair], bool]
    reason: str


def statements_of(pair: Pair) -> list[Mapping[str, Any]]:
    limits = [pair[name] for name in ("boundary", "session") if pair[name]]
    policies = [pair["key_policy"], *pair["identity"], *limits]
    return [statement for policy in policies for statement in policy["Statement"]]


def names_session(pair: Pair) -> bool:
    principals = [s.get("Principal") for s in pair["key_policy"]["Statement"]]
    return pair["session"] is not None and pair["principal"] in json.dumps(principals)


def is_limited_everybody(pair: Pair) -> bool:
    """Somebody with a boundary or a session policy, and a key policy that allows everybody."""
    everybody = ("*", {"AWS": "*"})
    allows = [s for s in pair["key_policy"]["Statement"] if s["Effect"] == "Allow"]
    limited = pair["boundary"] or pair["session"]
    return bool(limited) and any(s.get("Principal") in everybody for s in allows)


def has_unset_variable(pair: Pair) -> bool:
    """A variable without a value, under a negated operator."""
    if "aws:PrincipalTag/team" in pair["context"]:
        return False
    blocks = [s.get("Condition", {}) for s in statements_of(pair)]
    return any("Not" in op and "${" in str(block) for b in blocks for op, block in b.items())


DIFFERENCES = (
    Difference(
        "root-user",
        ours_allows=True,
        fits=lambda pair: pair["principal"] == ROOT,
        reason="The root user needs no identity policy: an Allow for the account is one for its "
        'root user ("Default key policy", AWS KMS Developer Guide); the judge asks for one.',
    ),
    Difference(
        "session-named",
        ours_allows=True,
        fits=names_session,
        reason="What a resource-based policy allows to the session's own ARN is not limited by the "
        'session policy ("Policies and permissions in IAM", session policies); the judge limits.',
    ),
    Difference(
        "everybody-limited",
        ours_allows=False,
        fits=is_limited_everybody,
        reason="Whether an Allow for everybody is limited by a permissions boundary or a session "
        "policy is unknown; ours is the reading that allows less.",
    ),
    Difference(
        "spared-by-role",
        ours_allows=False,
        fits=lambda pair: any("NotPrincipal" in s for s in pair["key_policy"]["Statement"]),
        reason="A Deny with NotPrincipal spares a session only if account, role and session are "
        'listed ("AWS JSON policy elements: NotPrincipal"; inferred for KMS); the judge is content '
        "with the role.",
    ),
    Difference(
        "every-address",
        ours_allows=True,
        fits=lambda pair: "0.0.0.0/0" in json.dumps(statements_of(pair)),
        reason="Every IPv4 address is in 0.0.0.0/0 (RFC 4632); the judge finds none in it.",
    ),
    Difference(
        "every-address-denied",
        ours_allows=False,
        fits=lambda pair: "0.0.0.0/0" in json.dumps(statements_of(pair)),
        reason="The same, where the condition is NotIpAddress or stands in a Deny.",
    ),
    Difference(
        "unset-variable",
        ours_allows=True,
        fits=has_unset_variable,
        reason='A negated operator matches against a variable that has no value ("IAM policy '
        'elements: Variables and tags", Policy variables with no value); with the judge it does '
        "not.",
    ),
    Difference(
        "unset-variable-denied",
        ours_allows=False,
        fits=has_unset_variable,
        reason="The same, in a Deny.",
    ),
)


def parsed(policy: Any) -> Policy:
    return parse_policy(json.dumps(policy), PolicyKind.IDENTITY)


def ours(pair: Pair) -> bool:
    identity = IdentityPermissions(
        tuple(map(parsed, pair["identity"])),
        parsed(pair["boundary"]) if pair["boundary"] else None,
        (parsed(pair["session"]),) if pair["session"] else (),
    )
    request = AccessRequest(
        principal=Principal(pair["principal"], pair["account"], pair["principal_arn"]),
        action=pair["action"],
        key_arn=pair["key"],
        key_account=pair["account"],
        context={
            name: tuple(value) if isinstance(value, list) else value
            for name, value in pair["context"].items()
        },
    )
    key_policy = parse_policy(json.dumps(pair["key_policy"]), PolicyKind.KEY)
    return not assess(request, key_policy, identity).denials


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the judge and what it needs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("judge")
    for file in JUDGE.iterdir():
        shutil.copy(file, folder)
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def theirs(judge: Path, pairs: Sequence[Pair]) -> list[bool]:
    text = "".join(f"{json.dumps(pair)}\n" for pair in pairs)
    command = ["node", "judge.mjs"]
    done = subprocess.run(
        command, cwd=judge, input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    verdicts = done.stdout.splitlines()
    assert len(verdicts) == len(pairs)
    assert set(verdicts) <= {"Allowed", "ImplicitlyDenied", "ExplicitlyDenied"}
    return [verdict == "Allowed" for verdict in verdicts]


@pytest.mark.timeout(300)
def test_the_two_agree(judge: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = list(islice(Pairs(SEED), PAIRS))
    assert len({json.dumps(pair) for pair in pairs}) == PAIRS
    used: Counter[str] = Counter()
    unexplained = []
    allowed = agreed = 0
    for pair, mine, other in zip(pairs, map(ours, pairs), theirs(judge, pairs), strict=True):
        allowed += mine
        agreed += mine is other
        if mine is other:
            continue
        fitting = [d.name for d in DIFFERENCES if d.ours_allows is mine and d.fits(pair)]
        used.update(fitting[:1])
        if not fitting:
            unexplained.append({"ours": mine, "judge": other, **pair})
    with capsys.disabled():
        print(
            f"\n{len(pairs)} pairs, {allowed} allowed: agree {agreed}, differ {len(pairs) - agreed}"
        )
        for difference in DIFFERENCES:
            print(f"  {used[difference.name]:4} {difference.name}: {difference.reason}")
    assert not unexplained, [json.dumps(pair) for pair in unexplained]
    assert agreed >= 2000
    assert allowed >= 400
    # A class that explains nothing any more must go.
    assert set(used) == {difference.name for difference in DIFFERENCES}


def test_the_pairs_use_what_policies_have() -> None:
    found: Counter[str] = Counter()
    for pair in islice(Pairs(SEED), PAIRS):
        found.update(features(pair))
    rare = {name: count for name, count in found.items() if count < 5}
    assert not rare
    assert len(found) >= 80
