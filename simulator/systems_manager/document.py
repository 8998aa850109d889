"""AWS-RunShellScript: the one document of this service, and what a command makes of it.

Truth: the document as boto3's issue 2558 shows it (reported): its parameters, their defaults and
allowed patterns, and its one step, aws:runShellScript. Its description is ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

NAME = "AWS-RunShellScript"
PLUGIN = "aws:runShellScript"
STEP_FOLDER = ("awsrunShellScript", "0.awsrunShellScript")
"""Of the step's files: plugin and id without colons (fileutil.go, removeInvalidColon)."""

EXECUTION_TIMEOUT = (
    "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)"
)
WORKING_DIRECTORY_LIMIT = 4096
PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "commands": {"type": "StringList", "minItems": 1, "displayType": "textarea"},
    "workingDirectory": {
        "type": "String",
        "default": "",
        "maxChars": WORKING_DIRECTORY_LIMIT,
    },
    "executionTimeout": {
        "type": "String",
        "default": "3600",
        "allowedPattern": EXECUTION_TIMEOUT,
    },
}
CONTENT = json.dumps(
    {
        "schemaVersion": "1.2",
        "description": "Run a shell script or specify the commands to run.",
        "parameters": PARAMETERS,
        "runtimeConfig": {
            PLUGIN: {
                "properties": [
                    {
                        "id": f"0.{PLUGIN}",
                        "runCommand": "{{ commands }}",
                        "workingDirectory": "{{ workingDirectory }}",
                        "timeoutSeconds": "{{ executionTimeout }}",
                    }
                ]
            }
        },
    }
)

_REFERENCE = re.compile(r"\{\{ *ssm:([/\w.:-]+) *\}\}", re.ASCII)
_DEFAULT_TIMEOUT = 3600
_TIMEOUTS = range(5, 172_800 + 1)


def size(parameters: Mapping[str, Sequence[str]]) -> int:
    """Bytes of the document with what the parameters add to it."""
    values = (value for values in parameters.values() for value in values)
    return len(CONTENT) + sum(len(value.encode(errors="surrogatepass")) for value in values)


def references(parameters: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The parameters of Parameter Store that the values refer to: `{{ssm:NAME}}`.

    Other references are none: the values take the place of `{{ commands }}` and the like as they
    are, and what stands in them is not looked at again (parameters.go, ReplaceParameters).
    """
    values = (value for values in parameters.values() for value in values)
    return [name for value in values for name in _REFERENCE.findall(value)]


def resolved(
    parameters: Mapping[str, Sequence[str]], value_of: Callable[[str], str | None]
) -> Mapping[str, Sequence[str]]:
    """The parameters with such references replaced (parameterstore.go, Resolve)."""

    def replaced(value: str) -> str:
        return _REFERENCE.sub(lambda found: value_of(found[1]) or "", value)

    return {name: [replaced(value) for value in values] for name, values in parameters.items()}


def only(parameters: Mapping[str, Sequence[str]], name: str) -> str:
    """The one value of a parameter, or its default."""
    values = parameters.get(name) or [PARAMETERS[name]["default"]]
    return values[0]


def timeout_of(text: str) -> int:
    """Seconds that a script may run. What the agent does not take means an hour.

    amazon-ssm-agent, pluginutil.go, ValidateExecutionTimeout: less than 5 is not taken, though
    the document allows it.
    """
    seconds = int(text)
    return seconds if seconds in _TIMEOUTS else _DEFAULT_TIMEOUT
