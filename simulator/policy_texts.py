"""Policies in the files of users: as objects, as JSON text, as files of their own.

They are checked as those that are set over the API: the same code, the same words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from kms_fake.beside import check_key_policy
from kms_fake.errors import KmsRefusal, our_text
from kms_fake.policy import MalformedPolicy, PolicyKind, UnsupportedPolicy, parse_policy
from simulator.user_files import BadFile, UserFile, Where, read_text, steps

Check = Callable[[str], str | None]
"""What is wrong with the text of a policy, or None."""

# The path with which the policy reader begins what it has to say of a part of the policy.
_PART = re.compile(
    r"(?P<path>Statement(?:\[\d+\])?(?:\.\w+)*(?:\[\d+\])?): (?P<text>.*)", re.DOTALL
)


def against_key_policy(text: str) -> str | None:
    """What KMS has against a key policy."""
    try:
        check_key_policy(text)
    except KmsRefusal as refusal:
        return refusal.message.removesuffix(our_text("", refusal.rule))
    return None


def against_identity_policy(text: str) -> str | None:
    """What IAM, or this evaluator of it, has against an identity policy."""
    try:
        parse_policy(text, PolicyKind.IDENTITY)
    except (MalformedPolicy, UnsupportedPolicy) as error:
        return str(error)
    return None


def policy_in_place(file: UserFile, where: Where, value: object, check: Check) -> str:
    """The JSON text of a policy that stands in the file, as an object or as text.

    Raises BadFile with the line of the part of the object that is wrong.
    """
    text = value if isinstance(value, str) else json.dumps(value)
    wrong = check(text)
    if wrong is not None:
        part = None if isinstance(value, str) else _PART.fullmatch(wrong)
        inner = (*where, *steps(part["path"])) if part else where
        raise BadFile(file.problem(inner, part["text"] if part else wrong))
    return text


def policy_of_file(file: UserFile, where: Where, name: str, check: Check) -> str:
    """The text of a policy file, whose path starts at the folder of `file`. Raises BadFile."""
    path = beside(file, name)
    try:
        text = read_text(path)
    except BadFile as error:
        raise BadFile(file.problem(where, str(error))) from error
    wrong = check(text)
    if wrong is not None:
        raise BadFile(file.problem(where, f"{path}: {wrong}"))
    return text


def beside(file: UserFile, name: str) -> Path:
    """A path that stands in a file, seen from the file's folder."""
    return file.path.parent / name
