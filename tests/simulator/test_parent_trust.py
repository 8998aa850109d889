"""The bundles that a program trusts, with the simulator's authority in them and nothing lost."""

from __future__ import annotations

import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from simulator.parent_services import trust
from simulator.parent_services.private_ca import PrivateCa
from simulator.parent_services.trust import (
    BadBundle,
    environment,
    merged_bundles,
    system_bundles,
)

CA = PrivateCa.create().pem
OTHER = PrivateCa.create().pem
THIRD = PrivateCa.create().pem

VARIABLES = {
    *("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    "NODE_EXTRA_CA_CERTS",
}


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's bundle; another usual path is a link to it, and a third one is not there."""
    folder = tmp_path / "etc"
    folder.mkdir()
    bundle = folder / "ca-certificates.crt"
    bundle.write_bytes(b"# the system's\n" + OTHER)
    (folder / "cert.pem").symlink_to(bundle.name)
    names = tuple(str(folder / name) for name in ("none.crt", "cert.pem", "ca-certificates.crt"))
    monkeypatch.setattr(trust, "SYSTEM_BUNDLES", names)
    return bundle


@pytest.fixture
def named(tmp_path: Path) -> Path:
    bundle = tmp_path / "named.pem"
    bundle.write_bytes(THIRD)
    return bundle


def certificates(path: str | Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(Path(path).read_bytes())


def in_pem(*pems: bytes) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(pem) for pem in pems]


def test_each_file_stands_once_and_without_links(system: Path, named: Path) -> None:
    assert system_bundles({}) == (system,)
    environ = {"AWS_CA_BUNDLE": str(named), "CURL_CA_BUNDLE": str(system.with_name("cert.pem"))}
    assert system_bundles(environ) == (system, named)


def test_a_variable_that_is_empty_names_nothing_and_git_is_left_alone(
    system: Path, named: Path
) -> None:
    assert system_bundles({"SSL_CERT_FILE": "", "GIT_SSL_CAINFO": str(named)}) == (system,)


def test_a_relative_name_and_a_link(
    system: Path, named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(named.parent)
    Path("link.pem").symlink_to("named.pem")
    Path("dangling.pem").symlink_to("none.pem")
    environ = {"SSL_CERT_FILE": "link.pem", "NODE_EXTRA_CA_CERTS": "dangling.pem"}
    assert system_bundles(environ) == (system, named)


def test_the_merged_copies_hold_both(system: Path, named: Path, tmp_path: Path) -> None:
    before = system.read_bytes()
    environ = {"REQUESTS_CA_BUNDLE": str(named)}
    merged = merged_bundles(CA, tmp_path / "new" / "merged", environ)
    assert list(merged) == [system, named]
    assert merged[system].read_bytes() == before + CA
    assert certificates(merged[named]) == in_pem(THIRD, CA)
    assert system.read_bytes() == before
    for copy in merged.values():
        assert copy.is_absolute()
        assert stat.S_IMODE(copy.stat().st_mode) == 0o644
    assert len(list((tmp_path / "new" / "merged").iterdir())) == 2


def test_a_last_line_without_an_end_does_not_run_into_the_authority(
    system: Path, tmp_path: Path
) -> None:
    system.write_bytes(OTHER.rstrip(b"\n"))
    merged = merged_bundles(CA, tmp_path, {})
    assert certificates(merged[system]) == in_pem(OTHER, CA)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        OTHER.replace(b"\n", b"\r\n"),
        OTHER.replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE"),
        b"\xff\xfe not text\n" + OTHER,
    ],
    ids=["empty", "blank", "windows", "trusted", "with a comment in no known letters"],
)
def test_what_may_stand_in_a_bundle_is_kept(system: Path, tmp_path: Path, content: bytes) -> None:
    system.write_bytes(content)
    merged = merged_bundles(CA, tmp_path, {})
    assert merged[system].read_bytes() == content + CA


@pytest.mark.parametrize(
    "content",
    [
        x509.load_pem_x509_certificate(OTHER).public_bytes(Encoding.DER),
        OTHER.decode().encode("utf-16"),
        b"-----BEGIN PRIVATE KEY-----\n",
    ],
    ids=["DER", "UTF-16", "a key"],
)
@pytest.mark.parametrize("merge", [merged_bundles, environment])
def test_what_is_no_pem_is_refused_and_nothing_is_written(
    system: Path,
    named: Path,
    tmp_path: Path,
    content: bytes,
    merge: Callable[[bytes, Path, dict[str, str]], object],
) -> None:
    del system
    named.write_bytes(content)
    with pytest.raises(BadBundle, match=r"named.pem.*holds no certificate in PEM.*convert it"):
        merge(CA, tmp_path / "new", {"CURL_CA_BUNDLE": str(named)})
    assert not (tmp_path / "new").exists()
    assert named.read_bytes() == content


@pytest.mark.parametrize("merge", [merged_bundles, environment])
def test_a_folder_is_refused(
    system: Path,
    tmp_path: Path,
    merge: Callable[[bytes, Path, dict[str, str]], object],
) -> None:
    environ = {"REQUESTS_CA_BUNDLE": str(system.parent)}
    with pytest.raises(BadBundle, match="which is a folder; only files can be merged"):
        merge(CA, tmp_path / "new", environ)


def test_what_cannot_be_read_is_told(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", closed)
    with pytest.raises(BadBundle, match=r"cannot be read \(Permission denied\)"):
        merged_bundles(CA, tmp_path, {})
    assert system.exists()


def test_a_file_behind_a_closed_folder_is_not_there(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", closed)
    assert system_bundles({"SSL_CERT_FILE": str(system)}) == ()


def test_the_variables_name_what_programs_read_now(system: Path, tmp_path: Path) -> None:
    del system
    found = environment(CA, tmp_path / "new", {"HOME": "/root"})
    assert set(found) == VARIABLES
    assert certificates(found.pop("NODE_EXTRA_CA_CERTS")) == in_pem(CA)
    assert len(set(found.values())) == 1
    for path in found.values():
        assert certificates(path) == in_pem(OTHER, CA)


def test_a_variable_keeps_its_own_file(system: Path, named: Path, tmp_path: Path) -> None:
    del system
    found = environment(CA, tmp_path / "new", {"NODE_EXTRA_CA_CERTS": str(named)})
    assert certificates(found["NODE_EXTRA_CA_CERTS"]) == in_pem(THIRD, CA)
    assert certificates(found["SSL_CERT_FILE"]) == in_pem(OTHER, CA)


@pytest.mark.parametrize(
    ("given", "affected"),
    [
        ("AWS_CA_BUNDLE", {"AWS_CA_BUNDLE"}),
        ("REQUESTS_CA_BUNDLE", {"REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"}),
        ("CURL_CA_BUNDLE", {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"}),
        ("SSL_CERT_FILE", VARIABLES - {"NODE_EXTRA_CA_CERTS"}),
    ],
)
def test_a_variable_stands_in_for_those_that_are_not_set(
    system: Path, named: Path, tmp_path: Path, given: str, affected: set[str]
) -> None:
    del system
    found = environment(CA, tmp_path / "new", {given: str(named)})
    for variable in VARIABLES - {"NODE_EXTRA_CA_CERTS"}:
        first = THIRD if variable in affected else OTHER
        assert certificates(found[variable]) == in_pem(first, CA), variable


def test_without_any_bundle_the_authority_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "SYSTEM_BUNDLES", ("/none/ca.pem",))
    assert merged_bundles(CA, tmp_path / "new", {}) == {}
    found = environment(CA, tmp_path / "new", {})
    for path in found.values():
        assert certificates(path) == in_pem(CA)


@pytest.mark.parametrize("variable", sorted(VARIABLES))
def test_a_variable_that_names_nothing_is_told(system: Path, tmp_path: Path, variable: str) -> None:
    del system
    with pytest.raises(BadBundle, match=f"{variable} names /none/ca.pem, which is not there"):
        environment(CA, tmp_path / "new", {variable: "/none/ca.pem"})
    assert not (tmp_path / "new").exists()


def test_merging_again_gives_the_same(system: Path, tmp_path: Path) -> None:
    first = merged_bundles(CA, tmp_path / "new", {})
    assert merged_bundles(CA, tmp_path / "new", {}) == first
    assert certificates(first[system]) == in_pem(OTHER, CA)


def test_files_of_one_name_have_copies_of_their_own(system: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / system.name
    other.write_bytes(THIRD)
    merged = merged_bundles(CA, tmp_path / "new", {"SSL_CERT_FILE": str(other)})
    assert certificates(merged[system]) == in_pem(OTHER, CA)
    assert certificates(merged[other]) == in_pem(THIRD, CA)


def test_a_client_with_the_merged_bundle_believes_both(system: Path, tmp_path: Path) -> None:
    ca, old = PrivateCa.create(), PrivateCa.create()
    system.write_bytes(old.pem)
    merged = merged_bundles(ca.pem, tmp_path / "new", {})
    context = ssl.create_default_context(cafile=str(merged[system]))
    for authority in (ca, old):
        near, far = socket.socketpair()
        server = authority.server_context(["kms.example"]).wrap_socket(
            near, server_side=True, do_handshake_on_connect=False
        )
        client = context.wrap_socket(
            far, server_hostname="kms.example", do_handshake_on_connect=False
        )
        with server, client:
            shake(client, server)


def shake(client: ssl.SSLSocket, server: ssl.SSLSocket) -> None:
    """Both sides of a handshake by turns."""
    waiting = {client, server}
    for side in waiting:
        side.setblocking(False)
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
