from __future__ import annotations

import os
from pathlib import Path

from tests.support.messy_files import documented_table, messy_files, messy_table, replace_documented_table


def test_the_documented_fate_of_every_messy_file_is_what_happens(material: Path) -> None:
    folder = material / "data" / "messy"
    table = messy_table(folder)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        replace_documented_table(table)
    assert documented_table().splitlines() == table.splitlines()
    assert len(messy_files(folder)) == len(table.splitlines()) - 2
