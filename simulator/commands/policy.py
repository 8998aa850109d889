"""`attested-kms policy`."""

from __future__ import annotations

import argparse
import json

from simulator.commands import CommandFailed, show

HELP = "look for mistakes in a key policy"

# The values of Severity in simulator.policy_check.findings, without importing it.
FAIL_ON = ("error", "warning", "none")


def configure(parser: argparse.ArgumentParser) -> None:
    """The one command that there is: check."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="say who can call what with and without a document, and name the known traps",
        description=(
            "Say who can use a key with and without an attestation document, and name the known "
            "traps in its policy. Exit code: 0 for nothing at or above --fail-on, 1 for findings, "
            "2 for an unreadable input or a policy that cannot be evaluated here."
        ),
    )
    check.set_defaults(name="policy check")  # So that messages begin with the whole command.
    check.add_argument(
        "policy",
        metavar="FILE|-",
        help="the key policy: JSON as aws kms put-key-policy takes it, or what aws kms "
        "get-key-policy --output json prints",
    )
    check.add_argument(
        "--identity",
        action="append",
        default=[],
        metavar="FILE",
        help="an IAM policy of the callers (--caller) or, without them, of every principal of the "
        "key's account; may be given several times",
    )
    check.add_argument(
        "--document",
        metavar="FILE",
        help="an enclave's attestation document, raw or in base64, to ask with as well; it is "
        "not verified",
    )
    check.add_argument(
        "--caller",
        action="append",
        default=[],
        metavar="ARN",
        help="a user, role or role session to ask about beside those that the policy names; may "
        "be given several times",
    )
    check.add_argument(
        "--account", metavar="ID", help="the key's account, where the policy does not tell it"
    )
    check.add_argument(
        "--key-arn", metavar="ARN", help="the key's ARN, needed where a policy names keys by ARN"
    )
    check.add_argument(
        "--json",
        action="store_true",
        help="print JSON (simulator/schemas/policy-check.schema.json)",
    )
    check.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default=FAIL_ON[0],
        help="the least severity that makes the exit code 1 (default: error)",
    )


def run(options: argparse.Namespace) -> int:
    """Check one policy."""
    from kms_fake.policy import PolicyKind
    from simulator.policy_check import report
    from simulator.policy_check.check import check
    from simulator.policy_check.findings import Severity
    from simulator.policy_check.reading import Unreadable, read_document, read_policy

    try:
        result = check(
            read_policy(options.policy, PolicyKind.KEY),
            [read_policy(name, PolicyKind.IDENTITY) for name in options.identity],
            callers=options.caller,
            account=options.account,
            key_arn=options.key_arn,
            document=read_document(options.document) if options.document else None,
        )
    except Unreadable as error:
        raise CommandFailed(str(error), exit_code=2) from error
    found = options.fail_on != "none" and result.reaches(Severity(options.fail_on))
    exit_code = 2 if result.unsupported else int(found)
    if options.json:
        show(json.dumps(report.as_json(result, options.fail_on, exit_code), indent=2))
    else:
        show("\n".join(report.as_text(result)))
    return exit_code
