"""What boto3 would be told on a host: profile, Region, endpoint of KMS, metadata service.

The order of places is that of botocore 1.44 (session.py, configprovider.py), the client with which
this project's own tools call; other SDKs differ where it says so. No value that may be a secret is
in a text that is made here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from simulator.doctor.aws_files import (
    FileState,
    Sections,
    SharedFile,
    Value,
    read_shared_file,
)
from simulator.doctor.host import Host

_PROFILE_VARIABLES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
"""botocore's order; the AWS CLI's is the other way round."""
_REGION = re.compile(r"(?![0-9]+$)(?!-)[a-zA-Z0-9-]{1,63}(?<!-)", re.ASCII)
_METADATA = "http://169.254.169.254"
_METADATA_IPV6 = "http://[fd00:ec2::254]"


class BadSetting(ValueError):
    """A setting with which no client can be made; the message is a sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class Named:
    """A value and where it comes from."""

    value: str
    source: str
    """A variable or a file, for readers; empty for the default."""


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """Variables and files together."""

    environ: Mapping[str, str]
    config: SharedFile
    credentials: SharedFile
    profile_variable: str
    """The variable that names the profile; empty where none does."""

    @classmethod
    def of(cls, host: Host) -> AwsSettings:
        """Those of whoever asks on `host`."""
        environ = host.environ
        return cls(
            environ,
            read_shared_file(host, environ.get("AWS_CONFIG_FILE", "~/.aws/config")),
            read_shared_file(
                host, environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
            ),
            next((name for name in _PROFILE_VARIABLES if name in environ), ""),
        )

    @property
    def profile_name(self) -> str:
        """Of the profile that is used."""
        return self.environ.get(self.profile_variable, "") or "default"

    @property
    def profiles(self) -> Mapping[str, Mapping[str, Value]]:
        """By name: those of the config file, to which those of the credentials file are added."""
        found = {
            name: dict(options) for name, options in _below("profile", self.config.sections).items()
        }
        if "default" in self.config.sections:
            found["default"] = dict(self.config.sections["default"])
        for name, options in self.credentials.sections.items():
            found.setdefault(name, {}).update(options)
        return found

    @property
    def profile(self) -> Mapping[str, Value]:
        """The options of the profile that is used; none where it does not exist."""
        return self.profiles.get(self.profile_name, {})

    @property
    def sso_sessions(self) -> Mapping[str, Mapping[str, Value]]:
        """By name."""
        return _below("sso-session", self.config.sections)

    def check(self) -> None:
        """Raises BadSetting where no client of boto3 can be made, with whatever credentials."""
        for file in (self.config, self.credentials):
            if file.state is FileState.BROKEN:
                raise BadSetting(f"{file.path} is not parsed: {file.trouble}")
        wanted = self.environ.get(self.profile_variable) if self.profile_variable else None
        if wanted is not None and wanted not in self.profiles:
            name = f"profile {wanted}" if wanted else "profile without a name"
            raise BadSetting(f"{self.profile_variable} names a {name}, which no file has")

    def text(self, option: str) -> str | None:
        """An option of the profile, if it is a text."""
        value = self.profile.get(option)
        return value if isinstance(value, str) else None

    def region(self) -> Named | None:
        """Where calls go; None for nowhere: boto3 makes no client (NoRegionError).

        Raises BadSetting for what is no Region's name.
        """
        named = self._named("AWS_DEFAULT_REGION", "region")
        if named is None or not named.value:
            return None
        if not _REGION.fullmatch(named.value):
            raise BadSetting(f"{named.source} holds what is no Region's name")
        return named

    def kms_endpoint(self) -> Named | None:
        """The URL that is configured for KMS; None if none is, and the Region's own counts.

        Raises BadSetting for an endpoint that is no URL and for services that do not exist.
        """
        ignored = self._named(
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls"
        )
        if ignored is not None and ignored.value.lower() == "true":
            return None
        named = self._configured_endpoint()
        if named is not None and not _is_url(named.value):
            raise BadSetting(f"{named.source} holds no URL such as http://127.0.0.1:8080")
        return named

    def metadata_service(self) -> Named:
        """The URL of the instance metadata service, without a slash at its end.

        Raises BadSetting for an endpoint that is no URL.
        """
        named = self._named("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint")
        if named is not None and named.value:
            if not _is_url(named.value):
                raise BadSetting(f"{named.source} holds no URL such as http://127.0.0.1:8080")
            return Named(named.value.rstrip("/"), named.source)
        mode = self._named(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode"
        )
        if mode is not None and mode.value.lower() == "ipv6":
            return Named(_METADATA_IPV6, mode.source)
        return Named(_METADATA, "")

    @property
    def may_ask_metadata(self) -> bool:
        """Whether AWS_EC2_METADATA_DISABLED leaves it."""
        return self.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true"

    def _configured_endpoint(self) -> Named | None:
        for variable in ("AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL"):
            if self.environ.get(variable):
                return Named(self.environ[variable], variable)
        services = self.text("services")
        where = f"profile {self.profile_name} in {self.config.path}"
        if services is not None:
            section = _below("services", self.config.sections).get(services)
            if not section:
                raise BadSetting(f"{where} names services {services}, which the file lacks")
            kms = section.get("kms")
            if isinstance(kms, Mapping) and kms.get("endpoint_url"):
                return Named(kms["endpoint_url"], f"services {services} in {self.config.path}")
        everywhere = self.text("endpoint_url")
        return Named(everywhere, where) if everywhere else None

    def _named(self, variable: str, option: str) -> Named | None:
        if variable in self.environ:
            return Named(self.environ[variable], variable)
        value = self.text(option)
        return None if value is None else Named(value, f"profile {self.profile_name}")


def _below(kind: str, sections: Sections) -> dict[str, Mapping[str, Value]]:
    found = {}
    for title, options in sections.items():
        if not title.startswith(kind):
            continue
        try:
            words = shlex.split(title)
        except ValueError:
            continue  # botocore passes such a title over as well.
        if len(words) == 2:
            found[words[1]] = options
    return found


def _is_url(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
