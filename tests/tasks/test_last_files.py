"""A process that begins while files cannot be used goes by what they said to the one before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from registry_mesh.tasks.files import Files
from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.tasks.renewed_files import RenewedFiles
from tests.simulators.alike import write_alike


@dataclass
class Memory:
    room: int = 4096
    text: str = ""

    def read(self) -> str:
        return self.text

    def write(self, text: str) -> None:
        self.text = text


@dataclass
class World:
    folder: Path
    memory: Memory = field(default_factory=Memory)
    told: list[str] = field(default_factory=list)

    def file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def tell(self, fault: Exception) -> None:
        self.told.append(str(fault))

    def read(self, *files: str) -> list[str]:
        """Of a process that begins."""
        return LastFiles(self.memory).read(files, values(*files), self.tell)


def values(*named: str) -> Callable[[Files], list[str]]:
    def read(files: Files) -> list[str]:
        found = [Path(files.at(file)).read_text() for file in named]
        if "half" in found:
            raise ValueError("it is half written")
        return found

    return read


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def missing(path: Path) -> None:
    path.unlink()


def broken(path: Path) -> None:
    path.write_text("half")


def in_the_way(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [missing, broken, in_the_way])
def test_what_was_good_last_is_used_whatever_is_wrong(world: World, damage: Callable[[Path], None]) -> None:
    one, two = world.file("one", "1"), world.file("two", "2")
    assert world.read(one, two) == ["1", "2"]
    world.file("one", "11")
    assert world.read(one, two) == ["11", "2"]
    damage(Path(two))
    world.file("one", "111")
    for deaths in (1, 2):
        assert world.read(one, two) == ["11", "2"], "one with the other"
        assert len(world.told) == deaths


def test_files_that_were_never_good_are_refused(world: World) -> None:
    one = world.file("one", "half")
    with pytest.raises(ValueError, match="half written"):
        world.read(one)
    with pytest.raises(FileNotFoundError):
        world.read(str(world.folder / "none"))
    assert world.told == []


def test_what_there_is_no_room_for_is_not_kept_and_the_rest_is(world: World) -> None:
    small, large = world.file("small", "1"), world.file("large", "x" * 4096)
    world.read(small)
    world.read(large)
    for file in (small, large):
        Path(file).unlink()
    assert world.read(small) == ["1"]
    with pytest.raises(FileNotFoundError):
        world.read(large)


def test_without_memory_nothing_is_kept(world: World) -> None:
    one = world.file("one", "1")
    LastFiles().read([one], values(one), world.tell)
    Path(one).unlink()
    with pytest.raises(FileNotFoundError):
        LastFiles().read([one], values(one), world.tell)


def test_a_file_that_changes_while_it_is_read_is_kept_when_it_stays(world: World) -> None:
    one = world.file("one", "1")

    def read(files: Files) -> str:
        found = Path(files.at(one)).read_text()
        world.file("one", found + "1")
        return found

    last = LastFiles(world.memory)
    assert last.fresh([one], read) == "1"
    assert world.memory.text == ""
    assert last.fresh([one], values(one)) == ["11"]
    Path(one).unlink()
    assert world.read(one) == ["11"]


def test_a_renewed_value_is_the_one_that_the_next_process_goes_by(world: World) -> None:
    one = world.file("one", "1")

    def begin() -> RenewedFiles[list[str]]:
        return RenewedFiles([one], values(one), world.told.append, LastFiles(world.memory))

    first = begin()
    world.file("one", "new")
    first.renew()
    world.file("one", "half")
    first.renew()
    second = begin()
    assert first.value == second.value == ["new"]
    assert world.told == ["", "it is half written", "it is half written"]
    second.renew()
    world.file("one", "whole")
    second.renew()
    assert second.value == ["whole"]
    assert world.told[3:] == [""]


def test_a_file_that_is_unpacked_with_the_time_of_the_one_before_is_another(world: World) -> None:
    one = world.file("one", "1")
    files = RenewedFiles([one], values(one), world.told.append)
    write_alike(Path(one), "2")
    files.renew()
    assert files.value == ["2"]


def test_a_folder_is_kept_with_what_was_read_of_it(world: World) -> None:
    folder = world.folder / "policies"
    folder.mkdir()

    def read(files: Files) -> list[str]:
        return [files.data(path).decode() for path in files.within(str(folder)) if path.endswith(".yaml")]

    def begin() -> list[str]:
        return LastFiles(world.memory).read([str(folder)], read, world.tell)

    for name in ("b.yaml", "a.yaml", "c.txt"):
        world.file(f"policies/{name}", name)
    assert begin() == ["a.yaml", "b.yaml"]
    (folder / "a.yaml").write_bytes(b"\xff")
    assert begin() == ["a.yaml", "b.yaml"]
    assert "codec" in world.told[-1]
    assert "c.txt" not in world.memory.text
    shutil.rmtree(folder)
    assert begin() == ["a.yaml", "b.yaml"]


def test_only_the_one_that_writes_keeps_anything(world: World) -> None:
    one = world.file("one", "1")
    LastFiles(world.memory, writes=False).fresh([one], values(one))
    assert world.memory.text == ""
    LastFiles(world.memory).fresh([one], values(one))
    Path(one).unlink()
    assert LastFiles(world.memory, writes=False).read([one], values(one), world.tell) == ["1"]


def test_what_may_never_end_is_not_opened(world: World) -> None:
    one = world.file("one", "1")
    assert world.read(one) == ["1"]
    Path(one).unlink()
    os.mkfifo(one)
    assert world.read(one) == ["1"]
    assert "may never end" in world.told[-1]
