"""Whether this machine can run the suite, asked before anything is made.

`attested-kms doctor --hardware` looks and says what is missing and how to get it. What it looks at
is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from real_hw.actions import ActionFailed, Actions, Command
from real_hw.image import attested_kms
from scenarios.target import Finished, TargetUnavailable

_STAND_IN: Mapping[str, Any] = {"findings": [], "provenance": {}}
_SECONDS = 60.0


def preflight(
    actions: Actions, options: Sequence[str], say: Callable[[str], None], *, region: str = ""
) -> Mapping[str, Any]:
    """What the doctor found. Raises TargetUnavailable with the full list of what is missing.

    `region` is that of the run, if one is set.
    """
    # The run's clients are told it; boto3 by itself reads the one variable, other SDKs the other.
    variables = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region} if region else {}
    command = Command(
        (*attested_kms(), "doctor", *options, "--json"),
        "whether everything is there, before anything is made",
        "docs/reference/doctor.md",
        Finished(0, json.dumps(_STAND_IN), ""),
        seconds=_SECONDS,
        environment=variables,
    )
    try:
        finished = actions.run(command)
        report: Mapping[str, Any] = json.loads(finished.stdout)
        findings: Sequence[Mapping[str, Any]] = report["findings"]
        errors = [one for one in findings if one["outcome"] == "error"]
    except ActionFailed as error:
        raise TargetUnavailable(f"This machine cannot be examined: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        printed = finished.stderr.strip()[-2000:] or "nothing"
        raise TargetUnavailable(
            f"{' '.join(command.words)} gave no report (exit code {finished.exit_code}) and "
            f"printed: {printed}"
        ) from error
    for one in findings:
        if one["outcome"] == "warning":
            say(f"warning: {one['check']}: {one['found']}")
    if errors:
        raise TargetUnavailable("\n".join(_list(errors)))
    return report


def _list(errors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    count = f"{len(errors)} things are" if len(errors) > 1 else "One thing is"
    yield f"This machine cannot run the suite: {count} missing. Nothing was made."
    for one in errors:
        yield ""
        yield f"{one['check']}: {one['title']}"
        yield f"  found  {one['found']}"
        if one["fix"]:
            yield f"  fix    {one['fix']}"
        if one["command"]:
            yield f"  run    {one['command']}"
