"""What an answer of KMS is in a step: its outcome, its text, and the shape of its members.

For results and records, in JSON. No plaintext and no credential is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from scenarios.normalising import normalised, shape
from scenarios.target import Answer, KmsError, NotSent, Opened, RawAnswer, Refused, Result

Told = dict[str, Any]
"""`outcome`, and what there is of `code`, `message`, `http_status`, `rule`, `reason`, `detail`,
`members` and `plaintext_bytes`."""


def told(answer: Answer) -> Told:
    """The answer as a step has it."""
    match answer:
        case Opened(plaintext, response):
            return {
                "outcome": "opened",
                "plaintext_bytes": len(plaintext),
                "members": shape(response),
            }
        case Refused(reason, detail, response):
            return {
                "outcome": "refused",
                "reason": reason,
                "detail": normalised(detail),
                "members": shape(response),
            }
        case Result(members):
            return {"outcome": "result", "members": shape(members)}
        case KmsError(code, message, http_status, rule):
            return _error(code, message, http_status, rule)
        case NotSent():
            return {"outcome": "not-sent", "message": normalised(str(answer))}
        case RawAnswer():
            return _raw(answer)


def failure(error: BaseException) -> Told:
    """What is told of a call that ended without an answer."""
    return {"outcome": "failed", "message": normalised(f"{type(error).__name__}: {error}")}


def _error(code: str, message: str, http_status: int, rule: str | None) -> Told:
    answer: Told = {
        "outcome": "error",
        "code": code,
        "message": normalised(message),
        "http_status": http_status,
    }
    return answer if rule is None else {**answer, "rule": rule}


def _raw(answer: RawAnswer) -> Told:
    """With the members as they came, so that null, "" and an absent one stay apart."""
    try:
        members = json.loads(answer.body)
    except ValueError:
        members = None
    if not isinstance(members, Mapping):
        return {
            "outcome": "failed",
            "message": f"no JSON object: {normalised(answer.body)}",
            "http_status": answer.http_status,
        }
    if answer.http_status == 200:
        return {"outcome": "result", "http_status": 200, "members": shape(members)}
    code = str(members.get("__type", "")).rpartition("#")[2]
    message = str(members.get("message", members.get("Message", "")))
    return {
        **_error(code, message, answer.http_status, answer.rule),
        "members": shape(members),
    }
