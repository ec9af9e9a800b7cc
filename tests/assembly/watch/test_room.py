"""The memory that a node may use, and its disk, as the kernel tells: control groups of both versions, block devices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from registry_mesh.assembly.watch.room import DiskLooks, memory
from registry_mesh.findings.facts import DiskFacts, MemoryFacts


def written(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def own(folder: Path, text: str) -> Path:
    (folder / "own").write_text(text)
    return folder / "own"


def test_the_narrowest_group_of_version_2_without_what_may_be_given_back(tmp_path: Path) -> None:
    path = own(tmp_path, "0::/kube/pod/main\n")
    root = tmp_path / "cgroup"
    stat = "anon 5\ninactive_file 100\nactive_file 7"
    written(root / "kube/pod/main", memory__max="max", memory__current=950, memory__stat=stat)
    written(root / "kube/pod", memory__max=1000, memory__current=960, memory__stat=stat)
    written(root / "kube", memory__max=5000, memory__current=4000, memory__stat=stat)
    assert memory(root, path) == MemoryFacts(860, 1000)


def test_version_1(tmp_path: Path) -> None:
    path = own(tmp_path, "5:cpu,cpuacct:/x\n4:memory:/docker/1\n1:name=systemd:/\n")
    root = tmp_path / "cgroup"
    files = {"memory__usage_in_bytes": 500, "memory__stat": "inactive_file 1\ntotal_inactive_file 60"}
    written(root / "memory/docker/1", memory__limit_in_bytes=600, **files)
    written(root / "memory/docker", memory__limit_in_bytes=9223372036854771712, **files)
    assert memory(root, path) == MemoryFacts(440, 600)


@pytest.mark.parametrize("text", ["", "0::/\n", "nonsense\n", "0::/none\n"])
def test_where_nothing_is_told_there_is_no_limit(text: str, tmp_path: Path) -> None:
    assert memory(tmp_path / "none", own(tmp_path, text)) == MemoryFacts()


def test_this_machine_s_own_can_be_read() -> None:
    found = memory()
    assert found.used >= 0
    assert found.limit >= 0


def test_a_disk_is_looked_at_over_a_minute(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    folder = tmp_path / f"{os.major(device)}:{os.minor(device)}"

    def stat(reads: int, reading: int, busy: int) -> None:
        written(folder, stat=f"{reads} 0 0 {reading} 0 0 0 0 0 {busy} 0")

    looks = DiskLooks(tmp_path)
    stat(100, 1000, 5000)
    assert looks.look(str(tmp_path), 0.0) == DiskFacts(folder.name)
    stat(300, 17800, 34400)
    assert looks.look(str(tmp_path), 30.0) == DiskFacts(folder.name, 200, 0.084, 0.98, 30.0)
    stat(300, 17800, 34400)
    assert looks.look(str(tmp_path), 60.0) == DiskFacts(folder.name, 200, 0.084, 0.49, 60.0)
    assert looks.look(str(tmp_path), 90.0) == DiskFacts(folder.name, 0, 0.0, 0.0, 60.0)
    assert looks.look(str(tmp_path / "none"), 92.0) == DiskFacts()
    assert looks.look(None, 94.0) == DiskFacts()
