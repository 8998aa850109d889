"""Where boto3 would find credentials on a host: its default chain, link by link, in its order.

The chain is that of botocore 1.44 (credentials.py, create_credential_resolver): the first link that
finds credentials wins, and one that finds half of them ends the search with an error. No command is
run and no role assumed; what a link only points at is said as far as files show it. No value of a
credential is ever put into a text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simulator.doctor.aws_files import (
    FileState,
    SharedFile,
    Value,
    expanded,
    read_shared_file,
)
from simulator.doctor.aws_settings import AwsSettings
from simulator.doctor.host import Host, PathKind
from simulator.doctor.model import Finding, Outcome

_KEY, _SECRET = "aws_access_key_id", "aws_secret_access_key"
_TOKENS = ("aws_security_token", "aws_session_token")
_TEMPORARY, _LONG_TERM = "ASIA", "AKIA"
_SOURCES = ("Ec2InstanceMetadata", "Environment", "EcsContainer")
"""What `credential_source` may name."""
_SSO_FIX = "Run aws configure sso"
_SSO_NEEDS = ("sso_start_url", "sso_region", "sso_account_id", "sso_role_name")


@dataclass(frozen=True, slots=True)
class Place:
    """The machine and what is set on it."""

    host: Host
    settings: AwsSettings

    @property
    def profile(self) -> str:
        """The profile, for readers."""
        return f"profile {self.settings.profile_name}"


Link = Callable[[Place], Finding | None]
"""A finding ends the search: OK for credentials, ERROR for what stops botocore."""


def _found(text: str) -> Finding:
    return Finding(outcome=Outcome.OK, found=text)


def _wrong(text: str, fix: str) -> Finding:
    return Finding(outcome=Outcome.ERROR, found=text, fix=fix)


def _pair(source: str, key: str, secret: str, token: str) -> Finding:
    """What is to be said of a key that `source` names, its secret and its session token."""
    if not secret:
        return _wrong(
            f"{source} has an access key id, and no secret: PartialCredentialsError",
            "Set both of them, or neither",
        )
    if key.startswith(_TEMPORARY) and not token:
        return _wrong(
            f"{source} has temporary credentials ({_TEMPORARY}...) without their session token: "
            "UnrecognizedClientException, The security token included in the request is invalid",
            "Set the session token as well: AWS_SESSION_TOKEN, or aws_session_token in the file",
        )
    if key.startswith(_LONG_TERM) and token:
        return Finding(
            outcome=Outcome.WARNING,
            found=f"{source} has a long-term key ({_LONG_TERM}...) with a session token, which is "
            "of other credentials",
            fix="Remove the session token (unset AWS_SESSION_TOKEN AWS_SECURITY_TOKEN)",
        )
    kind = "temporary ones" if token else "long-term ones"
    return _found(f"Credentials are in {source} ({kind})")


def _environment(place: Place) -> Finding | None:
    environ = place.settings.environ
    key = environ.get("AWS_ACCESS_KEY_ID", "")
    if not key:
        return None
    token = environ.get("AWS_SECURITY_TOKEN") or environ.get("AWS_SESSION_TOKEN", "")
    judged = _pair("the environment", key, environ.get("AWS_SECRET_ACCESS_KEY", ""), token)
    expires = environ.get("AWS_CREDENTIAL_EXPIRATION", "")
    return _expiry(place.host, expires) or judged if expires else judged


def _expiry(host: Host, text: str) -> Finding | None:
    try:
        end = dt.datetime.fromisoformat(text)
    except ValueError:
        return _wrong(
            "AWS_CREDENTIAL_EXPIRATION is no time such as 2026-01-27T19:10:00Z", "Mend or unset it"
        )
    moment = end if end.tzinfo else end.replace(tzinfo=dt.UTC)
    if moment.timestamp() > host.now():
        return None
    return _wrong(
        "The credentials of the environment have expired (AWS_CREDENTIAL_EXPIRATION)",
        "Fetch new ones, or unset them so that those of the role are found",
    )


def _assumed_role(place: Place) -> Finding | None:
    profile = place.settings.profile
    if "role_arn" not in profile or "web_identity_token_file" in profile:
        return None
    trouble = _trouble_of_role(place.settings.profiles, place.settings.profile_name, ())
    if trouble:
        return _wrong(trouble, f"Mend it in {place.settings.config.path}")
    return _found(f"{place.profile} assumes a role, which is not tried here")


def _trouble_of_role(
    profiles: Mapping[str, Mapping[str, Value]], name: str, visited: tuple[str, ...]
) -> str:
    """Why the role of a profile cannot be assumed; empty if files show no reason."""
    profile = profiles[name]
    named, source = profile.get("source_profile"), profile.get("credential_source")
    if (named is None) is (source is None):
        number = "neither" if named is None else "both"
        return f"profile {name} has a role_arn and {number} of source_profile, credential_source"
    if source is not None:
        known = isinstance(source, str) and source in _SOURCES
        return "" if known else f"credential_source of profile {name} is none of {_SOURCES}"
    if not isinstance(named, str) or named not in profiles:
        return f"source_profile of profile {name} does not exist"
    next_one = profiles[named]
    is_static = _KEY in next_one or _SECRET in next_one
    if named in (*visited, name) and not (named == name and is_static):
        return f"profile {name} takes its credentials from itself, by way of {named}"
    if is_static or "role_arn" not in next_one or "web_identity_token_file" in next_one:
        return ""
    return _trouble_of_role(profiles, named, (*visited, name))


def _web_identity(place: Place) -> Finding | None:
    environ, profile = place.settings.environ, place.settings.profile
    path = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE", profile.get("web_identity_token_file"))
    if not path or not isinstance(path, str):
        return None
    if not environ.get("AWS_ROLE_ARN", profile.get("role_arn")):
        return _wrong(
            "There is a web identity token, and no role for it: InvalidConfigError",
            "Set AWS_ROLE_ARN, or role_arn in the profile",
        )
    trouble = _trouble_of_file(place.host, path)
    if trouble:
        return _wrong(
            f"The web identity token {path} {trouble}",
            "See that the token is mounted into this container, and readable",
        )
    return _found("A web identity token and a role are set; the role is not tried here")


def _trouble_of_file(host: Host, path: str) -> str:
    try:
        if host.look(path) is not PathKind.FILE:
            return "is not there"
        host.read(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def _sso(place: Place) -> Finding | None:
    profile = place.settings.profile
    if "sso_role_name" not in profile and "sso_account_id" not in profile:
        return None
    session = profile.get("sso_session")
    options: dict[str, Value] = dict(profile)
    if isinstance(session, str):
        if session not in place.settings.sso_sessions:
            return _wrong(f"There is no sso-session {session}", _SSO_FIX)
        options.update(place.settings.sso_sessions[session])
    missing = [name for name in _SSO_NEEDS if name not in options]
    if missing:
        return _wrong(f"{place.profile} lacks {', '.join(missing)}", _SSO_FIX)
    return _found(
        f"{place.profile} uses IAM Identity Center; whether it is logged in is not looked at (aws "
        "sso login)"
    )


def _credentials_file(place: Place) -> Finding | None:
    return _section(place.settings.credentials, place.settings.profile_name)


def _section(file: SharedFile, name: str) -> Finding | None:
    section = file.sections.get(name, {})
    return _keys(f"{file.path}, [{name}]", section) if _KEY in section else None


def _keys(source: str, options: Mapping[str, Value]) -> Finding:
    key, secret, token = (
        str(options.get(name) or "")
        for name in (_KEY, _SECRET, next((each for each in _TOKENS if each in options), ""))
    )
    if not key:
        return _wrong(f"{source} has an empty access key id", "Set both of them, or neither")
    return _pair(source, key, secret, token)


def _login(place: Place) -> Finding | None:
    if "login_session" not in place.settings.profile:
        return None
    return _found(f"{place.profile} uses `aws login`; whether it still holds is not looked at")


def _process(place: Place) -> Finding | None:
    if "credential_process" not in place.settings.profile:
        return None
    return _found(f"{place.profile} asks a command (credential_process), which is not run here")


def _config_file(place: Place) -> Finding | None:
    config, name = place.settings.config, place.settings.profile_name
    titles = ("default",) if name == "default" else (f"profile {name}", f'profile "{name}"')
    return next(filter(None, (_section(config, title) for title in titles)), None)


def _original_ec2(place: Place) -> Finding | None:
    named = place.settings.environ.get("AWS_CREDENTIAL_FILE")
    if named is None:
        return None
    path = expanded(place.host, named)
    trouble = _trouble_of_file(place.host, path)
    if trouble:
        return _wrong(f"AWS_CREDENTIAL_FILE: {path} {trouble}", "unset AWS_CREDENTIAL_FILE")
    lines = place.host.read(path).decode(errors="replace").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    values = {name.strip(): value.strip() for name, _, value in pairs}
    if "AWSAccessKeyId" not in values:
        return None
    return _pair(path, values["AWSAccessKeyId"], values.get("AWSSecretKey", ""), "")


def _boto2(place: Place) -> Finding | None:
    environ = place.settings.environ
    named = environ.get("BOTO_CONFIG")
    for path in ("/etc/boto.cfg", "~/.boto") if named is None else (named,):
        file = read_shared_file(place.host, path)
        if file.state is FileState.BROKEN:
            return _wrong(f"{file.path} is not parsed: {file.trouble}", "Mend it, or remove it")
        section = file.sections.get("Credentials", {})
        if _KEY in section:
            return _keys(f"{file.path}, [Credentials]", section)
    return None


def _container(place: Place) -> Finding | None:
    environ = place.settings.environ
    names = (f"AWS_CONTAINER_CREDENTIALS_{kind}_URI" for kind in ("RELATIVE", "FULL"))
    variable = next((name for name in names if name in environ), None)
    if variable is None:
        return None
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    trouble = "" if token is None else _trouble_of_file(place.host, token)
    if trouble:
        return _wrong(
            f"The container's authorization token {token} {trouble}",
            "See that it is mounted into this container, and readable",
        )
    return _found(f"A container's credentials are set ({variable}); they are not fetched here")


CHAIN: tuple[Link, ...] = (
    _environment,
    _assumed_role,
    _web_identity,
    _sso,
    _credentials_file,
    _login,
    _process,
    _config_file,
    _original_ec2,
    _boto2,
    _container,
)
"""All links but the last, the instance metadata service."""


def search(place: Place) -> Finding | None:
    """What the first link says that has something to say; None where all are empty."""
    return next(filter(None, (link(place) for link in CHAIN)), None)
