"""The CA bundles by which a program believes the simulated KMS, and everybody whom it believed.

A program finds its trusted authorities in a file: the system's, or one that a variable of its
environment names. Here are merged copies, each the original with the simulator's authority behind
it. They are given to the program in one of two ways, or both:

- `merged_bundles`: mounted over the originals, in a mount namespace of its own;
- `environment`: named by the variables, where there are no namespaces. Programs that carry their
  own bundle, as boto3 and Node do, need the variables in any case.

Nothing but the copies is written. Sources: the list of files is that of Go (crypto/x509,
root_linux.go) and s2n, with Alpine's; the variables are documented by OpenSSL (SSL_CERT_FILE), the
AWS SDKs and Tools Reference Guide (AWS_CA_BUNDLE), Requests (REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE),
curl (CURL_CA_BUNDLE, SSL_CERT_FILE) and Node (NODE_EXTRA_CA_CERTS).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Debian, Fedora and RHEL, openSUSE, OpenELEC, RHEL 7 and Amazon Linux, Alpine."""

NAMING_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "SSL_CERT_FILE": (),
    "AWS_CA_BUNDLE": ("REQUESTS_CA_BUNDLE",),
    "REQUESTS_CA_BUNDLE": ("CURL_CA_BUNDLE",),
    "CURL_CA_BUNDLE": ("SSL_CERT_FILE",),
}
"""The variables that name a whole bundle; for each those whose file is read in its stead where it
is not set (botocore/endpoint.py, requests/sessions.py, curl's manual)."""

EXTRA_VARIABLE = "NODE_EXTRA_CA_CERTS"
"""Names authorities beside those that Node carries."""

# With Windows' line ends too, and OpenSSL's own kind of trusted certificate.
_CERTIFICATE = re.compile(rb"^-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----\s*$", re.MULTILINE)


class BadBundle(Exception):
    """Why a bundle cannot be merged and what to do, in a sentence."""


def system_bundles(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The bundles that there are: the system's, and those that variables of `environ` name.

    Each file once, without symbolic links on its way, since that is what a mount goes on. What a
    variable names and is not there is left out: the program will not find it either.
    """
    named = (environ.get(variable, "") for variable in (*NAMING_VARIABLES, EXTRA_VARIABLE))
    candidates = (Path(name) for name in (*SYSTEM_BUNDLES, *named) if name)
    return tuple(dict.fromkeys(path.resolve() for path in candidates if _is_there(path)))


def merged_bundles(ca_pem: bytes, folder: Path, environ: Mapping[str, str]) -> dict[Path, Path]:
    """Copies of `system_bundles` with `ca_pem` behind them, by the file that each stands for.

    The originals are resolved, the copies are in `folder`, which is made if need be; others may
    read them. Raises BadBundle, and then no copy was written; OSError where none can be.
    """
    originals = system_bundles(environ)
    contents = {path: _merged(path, ca_pem, f"{path} is a CA bundle here") for path in originals}
    return {path: _write(folder, path, content) for path, content in contents.items()}


def environment(ca_pem: bytes, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that make a program trust `ca_pem` beside what it trusts by `environ`.

    Each names a merged copy, in `folder`, of the file that the program reads now: the variable's
    own, the one that is read in its stead, the system's first. Where there is none at all, and for
    Node, the authority stands alone. Raises as `merged_bundles` does, and BadBundle where a
    variable names what is not there.
    """
    originals = {variable: _read_now(variable, environ) for variable in NAMING_VARIABLES}
    originals[EXTRA_VARIABLE] = _named(EXTRA_VARIABLE, environ)
    contents = {
        variable: ca_pem if path is None else _merged(path, ca_pem, f"{variable} stands for {path}")
        for variable, path in originals.items()
    }
    return {
        variable: str(_write(folder, originals[variable], content))
        for variable, content in contents.items()
    }


def _read_now(variable: str, environ: Mapping[str, str]) -> Path | None:
    """The bundle that a program which knows `variable` reads now; None if there is none."""
    path = _named(variable, environ)
    if path is not None:
        return path
    for other in NAMING_VARIABLES[variable]:
        return _read_now(other, environ)
    found = (Path(name) for name in SYSTEM_BUNDLES)
    return next((path.resolve() for path in found if _is_there(path)), None)


def _named(variable: str, environ: Mapping[str, str]) -> Path | None:
    name = environ.get(variable)
    if not name:
        return None
    path = Path(name)
    if not _is_there(path):
        # A program that is given this finds no authority at all, and must not do better here.
        raise BadBundle(
            f"{variable} names {name}, which is not there; name a file that is, or unset it."
        )
    return path.resolve()


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:  # Not there, or behind a folder that is closed to this user.
        return False
    return True


def _merged(path: Path, ca_pem: bytes, what: str) -> bytes:
    """The file's content with the authority behind it. An empty file is an empty bundle."""
    if path.is_dir():
        raise BadBundle(
            f"{what}, which is a folder; only files can be merged: name one that holds them all."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadBundle(f"{what}, which cannot be read ({error.strerror}).") from error
    if content.strip() and not _CERTIFICATE.search(content):
        raise BadBundle(
            f"{what}, which holds no certificate in PEM (-----BEGIN CERTIFICATE-----); convert it, "
            "for example by openssl x509 -inform der."
        )
    separator = b"" if not content or content.endswith(b"\n") else b"\n"
    return content + separator + ca_pem


def _write(folder: Path, original: Path | None, content: bytes) -> Path:
    """The copy, whole or not at all, under a name that says whose it is."""
    name = "authority.pem"
    if original is not None:
        digest = hashlib.sha256(str(original).encode("utf-8", "surrogateescape")).hexdigest()
        name = f"{digest[:16]}-{original.name}"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = folder.absolute() / name
    new = path.with_name(f"{name}.new")
    new.write_bytes(content)
    new.chmod(0o644)
    new.replace(path)
    return path
