"""Rules on settings that count in a container and not in an enclave, and on what is not there."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.lint import boots
from simulator.lint.findings import Found, Severity
from simulator.lint.subject import Subject

CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/cacert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/usr/share/ssl/certs/ca-bundle.crt",
)
"""Where programs look for the certificates of authorities (Go's crypto/x509, curl)."""

_SIGNS_OF_TLS = (b"libssl", b"libgnutls", b"libmbedtls", b"ca-certificates.crt")
"""In programs and libraries: whom they are linked with, or where they look (Go, curl, rustls)."""
_CA_VARIABLES = {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"}
_CA_FOLDERS = ("/etc/ssl/certs", "/etc/pki/tls/certs")
_ROOTS = {"root", "0", "0:0", "root:root", "0:root", "root:0"}


def user_ignored(subject: Subject) -> Iterator[Found]:
    """USER."""
    user = subject.user
    if user is not None and user.value not in _ROOTS:
        yield Found(
            Severity.WARNING,
            f"the program runs as root, not as {user.value}",
            user.place,
            boots.living(subject),
        )


def working_directory_ignored(subject: Subject) -> Iterator[Found]:
    """WORKDIR."""
    folder = subject.working_dir
    if folder is not None and folder.value.rstrip("/"):
        yield Found(
            Severity.INFO,
            f"the program starts in /, not in {folder.value}",
            folder.place,
            boots.living(subject),
        )


def setting_ignored(subject: Subject) -> Iterator[Found]:
    """HEALTHCHECK, VOLUME, EXPOSE, STOPSIGNAL."""
    for setting in subject.ignored:
        yield Found(
            Severity.INFO,
            f"{setting.value} does nothing in an enclave",
            setting.place,
            boots.living(subject),
        )


def no_ca_bundle(subject: Subject) -> Iterator[Found]:
    """No certificates of authorities."""
    if not subject.argv or _has_ca_bundle(subject) is not False:
        return
    if subject.files is not None and not subject.files.is_said(*_SIGNS_OF_TLS):
        return
    yield Found(
        Severity.WARNING,
        "the image has no bundle of certificates of authorities at a usual place: TLS may fail, "
        "to KMS too",
        None,
        boots.living(subject),
    )


def _has_ca_bundle(subject: Subject) -> bool | None:
    for text in subject.env:
        name, _, path = text.value.partition("=")
        if name in _CA_VARIABLES and subject.has(path) is not False:
            return True
    known = [subject.has(path) for path in CA_BUNDLES]
    if subject.files is not None and not any(known):
        return any(_is_filled(subject, folder) for folder in _CA_FOLDERS)
    if any(known):
        return True
    return None if None in known else False


def _is_filled(subject: Subject, folder: str) -> bool:
    directory = subject.files.image.directory(folder) if subject.files is not None else None
    return directory is not None and bool(directory.children)
