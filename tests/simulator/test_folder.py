"""The folder that a server keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.folder import FolderUnusable, keep_root, locked, seed_of


def test_a_new_folder_is_for_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with locked(folder):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_the_seed_stays_and_is_for_its_owner(tmp_path: Path) -> None:
    seed = seed_of(tmp_path)
    assert len(seed) == 32
    assert seed_of(tmp_path) == seed
    assert (tmp_path / "seed").stat().st_mode & 0o777 == 0o600
    (tmp_path / "seed").unlink()
    assert seed_of(tmp_path) != seed


@pytest.mark.parametrize("content", [b"", b"text", b"00" * 31, b"\xff" * 64, b"AA" * 32])
def test_a_seed_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "seed").write_bytes(content)
    with pytest.raises(FolderUnusable, match="remove it"):
        seed_of(tmp_path)


def test_the_root_stays_and_another_is_refused(tmp_path: Path) -> None:
    assert keep_root(tmp_path, b"one").read_bytes() == b"one"
    assert keep_root(tmp_path, b"one") == tmp_path / "root.pem"
    with pytest.raises(FolderUnusable, match=r"root\.pem is stale: not the root of this server"):
        keep_root(tmp_path, b"two")
    assert (tmp_path / "root.pem").read_bytes() == b"one"


def test_a_second_owner_is_refused_and_a_later_one_is_not(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(FolderUnusable, match="Another server uses"):
        locked(tmp_path).__enter__()
    with locked(tmp_path):
        pass


def test_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "absent" / "below"):
        with pytest.raises(FolderUnusable, match="cannot be used"):
            locked(path).__enter__()
