"""Ranks in the index: shared by processes, kept over a restart and over an absence; an old schema begins anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.stores.disk.index.database import key_of
from registry_mesh.stores.disk.index.index import Index, Row, RowState
from registry_mesh.stores.disk.index.rank import APART, HALF_LIFE, SMALL, SMALL_LATER, risen

A, B, C = (Digest.of(name) for name in (b"a", b"b", b"c"))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(tmp_path / "index.sqlite3")
    yield index
    index.close()


def row(digest: Digest, held: int = 4096, size: int = SMALL) -> Row:
    return Row(digest, size, held, RowState.COMPLETE)


def order(index: Index) -> list[Digest]:
    return [each.digest for each in index.least_used(10)]


def rank(index: Index, digest: Digest) -> float:
    found = index.row(digest)
    assert found is not None
    return found.rank


def test_the_least_used_come_first(index: Index) -> None:
    for digest in (A, B, C):
        index.put(row(digest), 1.0)
    index.touch([key_of(A)], 1.5)
    index.touch([key_of(A), key_of(B)], 2.0)
    assert order(index) == [C, B, A]
    first = index.least_used(1)
    assert [each.digest for each in index.least_used(10, first[0])] == [B, A]


def test_uses_that_two_processes_saw_at_once_count_once(index: Index, tmp_path: Path) -> None:
    other = Index(tmp_path / "index.sqlite3")
    index.put(row(A), 1.0)
    index.touch([key_of(A)], 2.0)
    other.touch([key_of(A)], 2.0 + APART / 2)
    assert rank(index, A) == risen(risen(None, 1.0), 2.0)
    other.touch([key_of(A)], 2.5)
    assert rank(index, A) > risen(risen(None, 1.0), 2.0)
    other.close()


def test_uses_count_again_when_they_are_apart_also_after_the_clock_went_back(index: Index) -> None:
    index.put(row(A), 3.0)
    index.touch([key_of(A)], 3.0 + APART)
    once = risen(risen(None, 3.0), 3.0 + APART)
    assert rank(index, A) == once
    index.touch([key_of(A)], 2.5)
    assert rank(index, A) == risen(once, 2.5)


def test_what_is_small_counts_as_used_later(index: Index) -> None:
    index.put(row(A, size=SMALL - 1), 1.0)
    index.put(row(B), 1.0 + SMALL_LATER - 0.1)
    index.put(row(C), 1.0 + SMALL_LATER + 0.1)
    assert order(index) == [B, A, C]
    index.touch([key_of(A)], 2.0)
    assert rank(index, A) == risen(risen(None, 1.0 + SMALL_LATER), 2.0 + SMALL_LATER)
    index.forget(A)
    index.put(row(A, size=SMALL - 1), 3.0)
    gap = rank(index, A) - risen(risen(risen(None, 1.0), 2.0), 3.0)
    assert gap == pytest.approx(SMALL_LATER / HALF_LIFE), "by as much after any number of uses"


def test_a_row_set_again_keeps_its_rank(index: Index) -> None:
    index.put(row(A), 1.0)
    before = rank(index, A)
    index.put(row(A, 8192), 7.0)
    assert rank(index, A) == before
    assert index.held() == 8192


def test_ranks_survive_a_restart(index: Index, tmp_path: Path) -> None:
    index.put(row(A), 1.0)
    index.touch([key_of(A)], 2.0)
    before = rank(index, A)
    index.close()
    again = Index(tmp_path / "index.sqlite3")
    assert rank(again, A) == before
    again.close()


def test_what_comes_back_has_its_rank(index: Index) -> None:
    index.put(row(A), 1.0)
    index.touch([key_of(A)], 2.0)
    before = rank(index, A)
    index.forget(A)
    assert index.row(A) is None
    index.put(row(A), 3.0)
    assert rank(index, A) == risen(before, 3.0)


def test_not_everything_is_remembered(tmp_path: Path) -> None:
    index = Index(tmp_path / "few.sqlite3", past=2)
    for digest in (A, B, C):
        index.put(row(digest), 1.0)
        index.forget(digest)
        index.put(row(digest), 2.0)
        index.forget(digest)
    for digest in (A, B, C):
        index.put(row(digest), 3.0)
    assert rank(index, A) == risen(None, 3.0)
    assert rank(index, C) == risen(risen(risen(None, 1.0), 2.0), 3.0)
    index.close()


def test_a_fact_adds_up(index: Index) -> None:
    index.add_fact("gone", 5)
    index.add_fact("gone", 6)
    assert index.fact("gone") == 11


def test_an_older_schema_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with sqlite3.connect(path) as old:
        old.executescript(
            "CREATE TABLE blobs (key BLOB PRIMARY KEY, size, held, atime, state) WITHOUT ROWID;"
            "CREATE INDEX by_atime ON blobs (atime);"
            "CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
            "INSERT INTO blobs VALUES (x'00', 1, 4096, 1, 1); INSERT INTO facts VALUES ('built', 1);"
        )
    old.close()
    indexes = [Index(path), Index(path)]
    assert indexes[0].fact("built") == 0, "so that the store looks at its disk"
    indexes[0].put(row(A), 1.0)
    assert order(indexes[1]) == [A]
    for each in indexes:
        assert not each.broken
        each.close()
