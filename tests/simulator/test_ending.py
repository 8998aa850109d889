"""Commands that are told to end leave nothing half done."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from simulator.commands.ending import tidy_end

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", SIGNALS)
def test_temporary_files_are_removed(number: int, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended, tidy_end(), NamedTemporaryFile(dir=tmp_path):
        os.kill(os.getpid(), number)
    assert ended.value.code == 128 + number
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is signal.SIG_DFL


def test_who_runs_under_nohup_goes_on() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with tidy_end():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
