"""The table of planted defects fits the code: `planted_defects` itself takes minutes."""

from __future__ import annotations

import pytest

from tests.real_hw.planted_defects import DEFECTS, Defect
from tests.real_hw.rehearsing import ROOT


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_there_is_where_to_plant_it(defect: Defect) -> None:
    text = (ROOT / defect.file).read_text(encoding="utf-8")
    assert text.count(defect.right) == 1
    compile(text.replace(defect.right, defect.wrong), defect.file, "exec")
