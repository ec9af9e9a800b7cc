from __future__ import annotations

from pathlib import Path

import pytest

from registry_mesh.ports.records import Records
from registry_mesh.stores.disk.records import DiskRecords
from tests.suites.records import RecordsSuite


class TestDiskRecords(RecordsSuite):
    @pytest.fixture
    def records(self, tmp_path: Path) -> Records:
        return DiskRecords(tmp_path / "records", tmp_path / "tmp")


async def test_leaves_no_temporary_files(tmp_path: Path) -> None:
    records = DiskRecords(tmp_path / "records", tmp_path / "tmp")
    await records.put("a", b"1")
    await records.create("a", b"2")
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_directory_that_leads_to_no_key_is_no_child(tmp_path: Path) -> None:
    records = DiskRecords(tmp_path / "records", tmp_path / "tmp")
    await records.put("tags/one/1", b"1")
    (tmp_path / "records" / "tags" / "cut off" / "deeper").mkdir(parents=True)
    assert await records.children("tags/") == await records.children("tags/", limit=1) == ["one"]
