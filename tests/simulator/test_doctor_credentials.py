"""doctor: credentials.found and imds.reachable, judged by botocore itself."""

from __future__ import annotations

import base64
import json
import os
import string
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from botocore.configloader import raw_config_parse
from botocore.exceptions import ConfigParseError
from hypothesis import example, given
from hypothesis import strategies as st

from kms_fake.fake import system_clock
from kms_fake.http_server import Answer
from simulator.doctor import web
from simulator.doctor.aws_files import BadIni, parse_ini
from simulator.doctor.checks import credentials, imds
from simulator.doctor.folder import FolderHost
from simulator.doctor.host import Host, HostKind, NetworkNotAsked
from simulator.doctor.model import Finding, Outcome
from simulator.doctor.this_machine import ThisMachine
from simulator.parent_services.imds import Credentials, Imds, Instance
from tests.simulator.doctor_hosts import host, written
from tests.simulator.doctor_servers import Quiet, answering, findings, serving, url

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"  # noqa: S105  # No secret of anybody.
PAIR = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}
KEYS = f"aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n"
REGION = {"AWS_DEFAULT_REGION": "us-east-1"}
CONFIG, FILE = ".aws/config", ".aws/credentials"
ROLE = "role_arn = arn:aws:iam::123456789012:role/enclave\n"

JUDGE = """
import json, os, sys
import botocore.session
from botocore.exceptions import BotoCoreError
from botocore.loaders import create_loader

given = json.load(sys.stdin)
loader = create_loader()  # Its cache makes the clients after the first one cheap.
answers = []
for environ in given:
    os.environ.clear()
    os.environ.update(environ)
    session = botocore.session.Session()
    session.register_component("data_loader", loader)
    try:
        session.create_client("kms", endpoint_url="http://127.0.0.1:9", region_name="us-east-1")
        found = session.get_credentials()
        answers.append("none" if found is None else found.method)
    except (BotoCoreError, OSError, ValueError) as error:
        answers.append(type(error).__name__)
print(json.dumps(answers))
"""


@dataclass(frozen=True)
class Case:
    """A machine as somebody has set it up."""

    name: str
    botocore: str
    """The method by which botocore finds credentials, `none`, or the exception."""
    outcome: Outcome
    """Of the last finding, that on the credentials."""
    said: str
    environ: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    """By their path below HOME; `HOME` in an environment variable becomes it."""


CASES = (
    Case("nothing", "none", Outcome.WARNING, "Unable to locate credentials"),
    Case("environment", "env", Outcome.OK, "in the environment (long-term", PAIR),
    Case(
        "half of the environment",
        "PartialCredentialsError",
        Outcome.ERROR,
        "no secret",
        {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"},
        {FILE: f"[default]\n{KEYS}"},
    ),
    Case(
        "the other half is passed over",
        "shared-credentials-file",
        Outcome.OK,
        "credentials, [default]",
        {"AWS_SECRET_ACCESS_KEY": SECRET},
        {FILE: f"[default]\n{KEYS}"},
    ),
    Case(
        "temporary, without its token",
        "env",
        Outcome.ERROR,
        "session token",
        {**PAIR, "AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE"},
    ),
    Case(
        "temporary",
        "env",
        Outcome.OK,
        "temporary ones",
        {**PAIR, "AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE", "AWS_SESSION_TOKEN": SECRET},
    ),
    Case(
        "a token that was left over",
        "env",
        Outcome.WARNING,
        "of other credentials",
        {**PAIR, "AWS_SESSION_TOKEN": SECRET},
    ),
    Case(
        "expired",
        "env",
        Outcome.ERROR,
        "expired",
        {**PAIR, "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"},
    ),
    Case(
        "not yet expired",
        "env",
        Outcome.OK,
        "long-term",
        {**PAIR, "AWS_CREDENTIAL_EXPIRATION": "2220-01-01T00:00:00Z"},
    ),
    Case(
        "no time",
        "ParserError",
        Outcome.ERROR,
        "is no time",
        {**PAIR, "AWS_CREDENTIAL_EXPIRATION": "soon"},
    ),
    Case(
        "another profile",
        "shared-credentials-file",
        Outcome.OK,
        "[other]",
        {"AWS_PROFILE": "other"},
        {FILE: f"[default]\n[other]\n{KEYS}"},
    ),
    Case(
        "both names of the profile",
        "shared-credentials-file",
        Outcome.OK,
        "[other]",
        {"AWS_PROFILE": "nobody", "AWS_DEFAULT_PROFILE": "other"},
        {FILE: f"[other]\n{KEYS}"},
    ),
    Case(
        "a profile that is none, in spite of the environment",
        "ProfileNotFound",
        Outcome.ERROR,
        "AWS_PROFILE names a profile nobody",
        {**PAIR, "AWS_PROFILE": "nobody"},
        {FILE: f"[default]\n{KEYS}"},
    ),
    Case(
        "a profile without a name",
        "ProfileNotFound",
        Outcome.ERROR,
        "without a name",
        {**PAIR, "AWS_PROFILE": ""},
    ),
    Case(
        "a section of the config file that is no profile",
        "ProfileNotFound",
        Outcome.ERROR,
        "profile other",
        {"AWS_PROFILE": "other"},
        {CONFIG: f"[other]\n{KEYS}"},
    ),
    Case(
        "the config file",
        "config-file",
        Outcome.OK,
        "[profile other]",
        {"AWS_PROFILE": "other"},
        {CONFIG: f"[profile other]\n{KEYS}"},
    ),
    Case(
        "half of a file",
        "PartialCredentialsError",
        Outcome.ERROR,
        "no secret",
        files={FILE: "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n"},
    ),
    Case(
        "elsewhere",
        "shared-credentials-file",
        Outcome.OK,
        "/elsewhere, [default]",
        {"AWS_SHARED_CREDENTIALS_FILE": "$WHERE/elsewhere", "WHERE": "HOME"},
        {"elsewhere": f"[default]\n{KEYS}"},
    ),
    Case(
        "a file that is none",
        "ConfigParseError",
        Outcome.ERROR,
        "line 1 stands before any [section]",
        PAIR,
        {FILE: KEYS},
    ),
    Case(
        "a file in Latin-1",
        "ConfigParseError",
        Outcome.ERROR,
        "byte 12 is no UTF-8",
        PAIR,
        {CONFIG: b"[default]\n# \xe9t\xe9\n"},
    ),
    Case(
        "twice the same section",
        "ConfigParseError",
        Outcome.ERROR,
        "twice",
        PAIR,
        {FILE: f"[default]\n{KEYS}[default]\n"},
    ),
    Case(
        "a role",
        "assume-role",
        Outcome.OK,
        "assumes a role",
        {"AWS_PROFILE": "enclave"},
        {
            CONFIG: f"[profile enclave]\n{ROLE}source_profile = default\n",
            FILE: f"[default]\n{KEYS}",
        },
    ),
    Case(
        "a role from itself",
        "assume-role",
        Outcome.OK,
        "assumes a role",
        files={CONFIG: f"[default]\n{ROLE}source_profile = default\n{KEYS}"},
    ),
    Case(
        "a role without a source",
        "PartialCredentialsError",
        Outcome.ERROR,
        "neither",
        files={CONFIG: f"[default]\n{ROLE}"},
    ),
    Case(
        "a role with two sources",
        "InvalidConfigError",
        Outcome.ERROR,
        "both",
        files={CONFIG: f"[default]\n{ROLE}source_profile = a\ncredential_source = Environment\n"},
    ),
    Case(
        "a role of nobody",
        "InvalidConfigError",
        Outcome.ERROR,
        "does not exist",
        files={CONFIG: f"[default]\n{ROLE}source_profile = nobody\n"},
    ),
    Case(
        "a role from a source that is none",
        "InvalidConfigError",
        Outcome.ERROR,
        "credential_source",
        files={CONFIG: f"[default]\n{ROLE}credential_source = Ec2\n"},
    ),
    Case(
        "roles in a circle",
        "InfiniteLoopConfigError",
        Outcome.ERROR,
        "from itself",
        files={
            CONFIG: f"[default]\n{ROLE}source_profile = a\n"
            f"[profile a]\n{ROLE}source_profile = default\n"
        },
    ),
    Case(
        "a web identity",
        "assume-role-with-web-identity",
        Outcome.OK,
        "web identity",
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/a"},
        {"token": SECRET},
    ),
    Case(
        "a web identity without a role",
        "InvalidConfigError",
        Outcome.ERROR,
        "no role for it",
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/token"},
    ),
    Case(
        # botocore reads the token with the first call.
        "a web identity without its token",
        "assume-role-with-web-identity",
        Outcome.ERROR,
        "is not there",
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/a"},
    ),
    Case(
        "Identity Center",
        "sso",
        Outcome.OK,
        "IAM Identity Center",
        files={
            CONFIG: "[default]\nsso_session = me\nsso_account_id = 1\nsso_role_name = a\n"
            "[sso-session me]\nsso_region = us-east-1\nsso_start_url = https://a.test\n"
        },
    ),
    Case(
        "half of Identity Center",
        "InvalidConfigError",
        Outcome.ERROR,
        "sso_start_url",
        files={CONFIG: "[default]\nsso_account_id = 1\nsso_role_name = a\n"},
    ),
    Case(
        "Identity Center without its session",
        "InvalidConfigError",
        Outcome.ERROR,
        "no sso-session",
        files={CONFIG: "[default]\nsso_session = me\nsso_account_id = 1\nsso_role_name = a\n"},
    ),
    Case(
        "a command",
        "custom-process",
        Outcome.OK,
        "not run here",
        files={
            CONFIG: "[default]\ncredential_process = "
            """/bin/echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b"}'\n"""
        },
    ),
    Case(
        "boto's old file",
        "boto-config",
        Outcome.OK,
        ".boto, [Credentials]",
        files={".boto": f"[Credentials]\n{KEYS}"},
    ),
    Case(
        "EC2's old file",
        "ec2-credentials-file",
        Outcome.OK,
        "old",
        {"AWS_CREDENTIAL_FILE": "~/old"},
        {"old": f"AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE\nAWSSecretKey={SECRET}\n"},
    ),
    Case(
        "EC2's old file, gone",
        "ConfigNotFound",
        Outcome.ERROR,
        "is not there",
        {"AWS_CREDENTIAL_FILE": "~/old"},
    ),
)


def _set_up(case: Case, home: Path) -> dict[str, str]:
    """Write the files of a case; its environment, in which nothing else is set."""
    for name, content in case.files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content.encode() if isinstance(content, str) else content)
    usual = {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", **REGION}
    return usual | {name: value.replace("HOME", str(home)) for name, value in case.environ.items()}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, str], str]]:
    """By the name of a case: its environment, and what botocore makes of it."""
    environs = [_set_up(case, tmp_path_factory.mktemp("home")) for case in CASES]
    finished = subprocess.run(
        [sys.executable, "-c", JUDGE],
        input=json.dumps(environs),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = json.loads(finished.stdout)
    return {
        case.name: (environ, answer)
        for case, environ, answer in zip(CASES, environs, answers, strict=True)
    }


def _asked(machine: Host) -> list[Finding]:
    return findings(credentials.CHECKS, "credentials.found", machine)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_credentials_are_found_where_botocore_finds_them(
    case: Case, judged: Mapping[str, tuple[dict[str, str], str]]
) -> None:
    environ, answer = judged[case.name]
    assert answer == case.botocore
    found = _asked(ThisMachine(environ))
    assert found[-1].outcome is case.outcome, found
    assert case.said in found[-1].found
    assert bool(found[-1].fix) is (case.outcome is not Outcome.OK)
    assert SECRET not in repr(found)


def test_a_container_is_named_and_not_asked(tmp_path: Path) -> None:
    environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/secret", **REGION}
    (found,) = _asked(host(tmp_path / "a", environ=environ))
    assert found.outcome is Outcome.OK
    assert "secret" not in found.found
    environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = "/run/token"  # noqa: S105  # A path.
    (found,) = _asked(host(tmp_path / "b", environ=environ))
    assert found.outcome is Outcome.ERROR
    assert "/run/token is not there" in found.found


@pytest.mark.parametrize(
    ("environ", "outcome", "said"),
    [
        ({}, Outcome.WARNING, "No Region"),
        ({"AWS_REGION": "us-east-1"}, Outcome.WARNING, "boto3 does not read"),
        ({"AWS_DEFAULT_REGION": "us east"}, Outcome.ERROR, "no Region's name"),
    ],
)
def test_the_region_is_looked_for_as_well(
    tmp_path: Path, environ: dict[str, str], outcome: Outcome, said: str
) -> None:
    region, keys = _asked(host(tmp_path, environ={**PAIR, **environ}))
    assert region.outcome is outcome
    assert said in region.found
    assert keys.outcome is Outcome.OK


def test_a_file_that_this_user_may_not_read_is_said(tmp_path: Path) -> None:
    machine = host(
        tmp_path,
        {"/home/me/.aws/credentials": f"[default]\n{KEYS}"},
        environ={"HOME": "/home/me", **REGION},
        denied=["/home/me/.aws/credentials"],
    )
    unreadable, none = _asked(machine)
    assert "Permission denied" in unreadable.found
    assert "without a word" in unreadable.found
    assert none.outcome is Outcome.WARNING


def test_without_home_the_folder_of_passwd_counts_for_boto3_alone(tmp_path: Path) -> None:
    machine = host(
        tmp_path,
        {
            "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nbad line\n",
            "/root/.aws/credentials": f"[default]\n{KEYS}",
        },
        environ=REGION,
    )
    home, keys = _asked(machine)
    assert home.outcome is Outcome.WARNING
    assert "HOME is not set" in home.found
    assert home.command == "export HOME=/root"
    assert "/root/.aws/credentials" in keys.found


def test_without_home_and_passwd_nothing_is_found(tmp_path: Path) -> None:
    (found,) = _asked(host(tmp_path, environ=REGION))
    assert found.outcome is Outcome.WARNING


def test_half_of_the_environment_is_said_beside_what_is_found(tmp_path: Path) -> None:
    environ = {"AWS_SECRET_ACCESS_KEY": SECRET, **REGION}
    passed_over, _ = _asked(host(tmp_path, environ=environ))
    assert "passed over" in passed_over.found


# The instance's role.


@contextmanager
def _metadata(**answers: int) -> Iterator[str]:
    """The simulator's own service on TCP; `token`, `role`, `keys` answer a status instead."""
    service = Imds(Instance.default(), Credentials.create(), system_clock)

    class Handler(Quiet):
        def do_PUT(self) -> None:  # noqa: N802  # http.server's name.
            self._send("token", service.put(self.path, self.headers))

        def do_GET(self) -> None:  # noqa: N802
            kind = "role" if self.path.endswith("/") else "keys"
            self._send(kind, service.get(self.path, self.headers))

        def _send(self, kind: str, answer: Answer) -> None:
            status = answers.get(kind, answer.status)
            body = answer.body if status == answer.status else b"<html>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as server:
        yield url(server)


def _of_metadata(endpoint: str) -> tuple[Finding, Finding]:
    """What both checks make of it."""
    environ = {
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint,
        **REGION,
    }
    here = ThisMachine(environ)
    (reachable,) = findings(imds.CHECKS, "imds.reachable", here)
    (found,) = _asked(here)
    return reachable, found


def test_the_role_of_the_instance_is_the_last_link() -> None:
    with _metadata() as endpoint:
        reachable, found = _of_metadata(endpoint)
    assert reachable.outcome is Outcome.OK
    assert found.outcome is Outcome.OK
    role = Instance.default().role_name
    assert role in reachable.found
    assert role in found.found


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"role": 404}, "No IAM role is attached"),
        ({"token": 403}, "switched off"),
        ({"token": 404}, "no IMDSv2 token"),
        ({"role": 401}, "names no role"),
        ({"keys": 500}, "its Code is 500"),
    ],
)
def test_an_instance_without_credentials_is_an_error(answers: dict[str, int], said: str) -> None:
    with _metadata(**answers) as endpoint:
        reachable, found = _of_metadata(endpoint)
    assert reachable.outcome is Outcome.ERROR
    assert said in reachable.found
    assert said in found.found
    assert reachable.fix == found.fix


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"Code": 5}', b"[" * 100_000, b"\xff"])
def test_credentials_that_are_no_json_are_said_without_their_text(
    tmp_path: Path, body: bytes
) -> None:
    base = "http://169.254.169.254/latest"
    answers = [
        {"url": f"{base}/api/token", "status": 200, "body": "token"},
        {"url": f"{base}/meta-data/iam/security-credentials/", "status": 200, "body": "enclave"},
        {
            "url": f"{base}/meta-data/iam/security-credentials/enclave",
            "status": 200,
            "body": {"base64": base64.b64encode(body).decode()},
        },
    ]
    machine = host(tmp_path, environ={}, answers=answers)
    (found,) = findings(imds.CHECKS, "imds.reachable", machine)
    assert found.outcome is Outcome.ERROR
    assert "its Code is missing" in found.found


def test_a_service_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "NETWORK_SECONDS", 0.05)
    with answering(b"") as endpoint:
        reachable, found = _of_metadata(endpoint)
    assert reachable.outcome is Outcome.ERROR
    assert "timed out" in reachable.found
    assert "timed out" in found.found


@pytest.mark.parametrize("mark", ["/.dockerenv", "/run/.containerenv"])
def test_in_a_container_silence_may_be_the_hop_limit(tmp_path: Path, mark: str) -> None:
    machine = FolderHost(written(tmp_path, {mark: ""}, environ={}), network=True)
    (found,) = findings(imds.CHECKS, "imds.reachable", machine)
    assert "hop limit" in found.found
    assert "--http-put-response-hop-limit 2" in found.fix


def test_it_is_asked_with_network_only(tmp_path: Path) -> None:
    vendor = {"/sys/devices/virtual/dmi/id/sys_vendor": "Amazon EC2\n"}
    machine = host(tmp_path, vendor, environ=REGION)
    with pytest.raises(NetworkNotAsked):
        findings(imds.CHECKS, "imds.reachable", machine)
    with pytest.raises(NetworkNotAsked):
        _asked(machine)


def test_it_is_not_asked_where_it_is_switched_off_or_simulated(tmp_path: Path) -> None:
    machine = host(tmp_path / "a", environ={"AWS_EC2_METADATA_DISABLED": "True"})
    (found,) = findings(imds.CHECKS, "imds.reachable", machine)
    assert found.outcome is Outcome.SKIPPED

    class Simulated(ThisMachine):
        kind = HostKind.SIMULATED

    nowhere = {"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}
    (found,) = findings(imds.CHECKS, "imds.reachable", Simulated(nowhere))
    assert found.outcome is Outcome.SKIPPED
    assert _asked(Simulated({**nowhere, **REGION}))[-1].outcome is Outcome.WARNING


@pytest.mark.parametrize(
    "endpoint", ["169.254.169.254", "http://", "ftp://127.0.0.1", "http://a b"]
)
def test_an_endpoint_that_is_none_is_an_error(endpoint: str) -> None:
    reachable, found = _of_metadata(endpoint)
    assert reachable.outcome is Outcome.ERROR
    assert found.outcome is Outcome.ERROR
    assert "AWS_EC2_METADATA_SERVICE_ENDPOINT" in reachable.found


# Files that are none.

LINES = st.sampled_from(
    [
        "[default]",
        "[profile a]",
        "[DEFAULT]",
        "a = b",
        "a",
        " b = c",
        "=",
        "a:",
        "# x",
        "",
        "[",
        "\tc",
    ]
)
INI = st.lists(LINES | st.text(string.printable, max_size=9), max_size=9).map("\n".join)


@given(
    INI.map(str.encode) | INI.map(lambda text: text.replace("\n", "\r\n").encode()) | st.binary()
)
@example(b"[a]\nb\n c")
@example(b"\xef\xbb\xbf[default]\n")
@example(b"[a]\nb =\n  c = d\n  e\n")
def test_ini_files_are_read_as_botocore_reads_them(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "credentials"
        path.write_bytes(data)
        try:
            theirs = raw_config_parse(str(path))
        except ConfigParseError:
            theirs = None
    try:
        ours = parse_ini(data)
    except BadIni:
        ours = None
    assert ours == theirs


PLACES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "credentials",
    "config",
)


@given(
    st.sets(st.sampled_from(PLACES), min_size=1),
    st.sampled_from(["", "AKIAEXAMPLE", "ASIAEXAMPLE"]),
    st.lists(
        st.sampled_from(
            [
                "[default]",
                "[profile a]",
                f"aws_secret_access_key = {SECRET}",
                f"aws_session_token = {SECRET}",
                f" {SECRET}",
                f"[{SECRET[:5]}",
                "aws_access_key_id = AKIAEXAMPLE",
                f"credential_process = echo {SECRET}",
                "source_profile = a",
                "role_arn = arn",
                f"{SECRET}",
                f"x =\n  {SECRET}",
            ]
        ),
        max_size=6,
    ).map("\n".join),
)
def test_no_secret_is_ever_shown(places: set[str], key: str, text: str) -> None:
    environ = {name: SECRET for name in places if name.isupper()}
    if key:
        environ["AWS_ACCESS_KEY_ID"] = key
    files = {f"/root/.aws/{name}": text for name in places if name.islower()}
    with TemporaryDirectory() as folder:
        found = _asked(host(Path(folder), files, environ={"HOME": "/root", **environ}))
    assert SECRET not in repr(found)
    assert found


def test_the_environment_of_the_tests_is_left_alone() -> None:
    before = dict(os.environ)
    _asked(ThisMachine({**REGION, "HOME": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true"}))
    assert dict(os.environ) == before
