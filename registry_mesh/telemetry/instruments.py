"""Counters that several processes share: one table of 64-bit integers, a row for each process.

Every process adds to its own row, without a lock and without a system call; a reader adds up all rows.
A row belongs to a place (worker 0, worker 1, … the keeper), not to a process: one that takes over a dead one's
place goes on counting where that one stopped, so a counter never falls.
"""

from __future__ import annotations

import mmap
import secrets
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from registry_mesh.telemetry.names import METRICS, OTHER, Kind, Merge, Metric

_WORD: Final = 8
Labels = tuple[str, ...]
Key = tuple[str, Labels]
"""A metric's name and its labels' values, in the order the metric names them."""


@dataclass(frozen=True, slots=True)
class Block:
    """The cells of one metric in a row, from `start` on: as many for each of `labels`, one after the other."""

    metric: Metric
    start: int
    labels: tuple[Labels, ...]

    @property
    def length(self) -> int:
        """Cells of one series."""
        return len(self.metric.bounds) + 2 if self.metric.kind is Kind.HISTOGRAM else 1

    @property
    def stop(self) -> int:
        """The cell behind the last."""
        return self.start + self.length * len(self.labels)

    def series(self) -> Iterator[tuple[Labels, int]]:
        """The labels' values of each series, and its first cell in a row."""
        return zip(self.labels, range(self.start, self.stop, self.length), strict=True)

    def split(self, cells: Sequence[int]) -> Iterator[tuple[Labels, tuple[int, ...]]]:
        """The cells of each series, of a block's."""
        return zip(self.labels, zip(*[iter(cells)] * self.length, strict=True), strict=True)

    def add(self, cells: list[int], others: Iterable[tuple[Labels, tuple[int, ...]]]) -> None:
        """Add to a block's cells those of `others` that it has a series for."""
        at = {labels: cell - self.start for labels, cell in self.series()} if others else {}
        for labels, counts in others:
            if labels in at and any(counts):
                for index, count in enumerate(counts, at[labels]):
                    cells[index] += count


class Layout:
    """Which cell of a row means what. The same metrics and label values give the same layout."""

    def __init__(
        self,
        metrics: Sequence[Metric] = METRICS,
        values: Mapping[str, Sequence[str]] | None = None,
        parents: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """`values` are those of the labels that the configuration closes. Of registries there is always `OTHER`.
        `parents` of each registry: no other pairs of the two are told apart; None: all are."""
        values = {
            **(values or {}),
            "registry": [*dict.fromkeys([*(values or {}).get("registry", ()), OTHER])],
        }
        self.metrics = tuple(metrics)
        self.cells: dict[Key, int] = {}
        self.blocks: dict[str, Block] = {}
        """By the metric's name: one that is asked for costs nothing of the others, of which there may be thousands."""
        self._parents = parents
        self.width = 0
        for metric in self.metrics:
            known = [given or values.get(label, ()) for label, given in metric.labels.items()]
            block = Block(metric, self.width, tuple(filter(self._pairs(metric), product(*known))))
            self.blocks[metric.name] = block
            self.cells |= {(metric.name, labels): cell for labels, cell in block.series()}
            self.width = block.stop

    def _pairs(self, metric: Metric) -> Callable[[tuple[str, ...]], bool]:
        """Whether there is a series of these labels' values."""
        names, parents = list(metric.labels), self._parents
        if parents is None or not {"registry", "parent"} <= set(names):
            return lambda labels: True
        registry, parent = names.index("registry"), names.index("parent")
        return lambda labels: labels[registry] == OTHER or labels[parent] in parents.get(labels[registry], ())


class Table:
    """`rows` rows of a layout, in memory that is shared with every process forked later."""

    def __init__(
        self,
        layout: Layout,
        rows: int,
        before: Sequence[Table] = (),
        carried: Mapping[Key, tuple[int, ...]] | None = None,
    ) -> None:
        """`before`: tables of processes that still run under an older configuration; `carried`: what ended ones had
        counted. Counters and histograms go on where those stopped."""
        self.layout = layout
        self.life: str = before[0].life if before else secrets.token_hex(8)
        """The same for all tables that carry on each other's counters."""
        self._before = tuple(before)
        self._carried: dict[str, dict[Labels, tuple[int, ...]]] = {}
        for (name, labels), cells in (carried or {}).items():
            self._carried.setdefault(name, {})[labels] = cells
        self._memory = mmap.mmap(-1, max(1, rows * layout.width) * _WORD)
        self._words = memoryview(self._memory).cast("q")
        self.rows = rows

    def row(self, index: int) -> Instruments:
        """The instruments of one process."""
        width = self.layout.width
        return Instruments(self.layout, self._words[index * width : (index + 1) * width])

    def read(self, *wanted: Metric) -> Iterator[Sample]:
        """Every metric, all rows merged; of `wanted` alone where some are named."""
        for block in self._blocks(wanted):
            for labels, cells in block.split(self._merged(block)):
                yield Sample(block.metric, labels, cells)

    def used(self, *wanted: Metric) -> Iterator[Sample]:
        """The same, but for what is zero: with many registries that is most of thousands of series."""
        for block in self._blocks(wanted):
            for labels, cells in block.split(self._merged(block)):
                if any(cells):
                    yield Sample(block.metric, labels, cells)

    def _blocks(self, wanted: Sequence[Metric]) -> Iterator[Block]:
        for metric in wanted or self.layout.metrics:
            if (block := self.layout.blocks.get(metric.name)) is not None:
                yield block

    def _merged(self, block: Block) -> list[int]:
        """The block's cells: of counters and histograms with what was counted under older configurations."""
        merged = self._own(block)
        if block.metric.kind is Kind.GAUGE:
            return merged
        for table in self._before:
            if (older := table.layout.blocks.get(block.metric.name)) is not None:
                block.add(merged, older.split(table._own(older)))
        block.add(merged, self._carried.get(block.metric.name, {}).items())
        return merged

    def _own(self, block: Block) -> list[int]:
        """The block's cells of its own rows."""
        width, size = self.layout.width, block.stop - block.start
        starts = range(block.start, self.rows * width + block.start, width)
        rows = (self._words[start : start + size].tolist() for start in starts)
        merge = max if block.metric.kind is Kind.GAUGE and block.metric.merge is Merge.MAX else sum
        return list(map(merge, zip(*rows, strict=True)))

    def cells(self, metric: Metric, *labels: str) -> tuple[int, ...]:
        """One sample's cells: those of a counter or histogram since the node began."""
        return next(each.cells for each in self.read(metric) if each.labels == labels)

    def counted(self) -> dict[Key, tuple[int, ...]]:
        """What its own rows counted, but for what is zero: for a later table to carry on."""
        blocks = [block for block in self.layout.blocks.values() if block.metric.kind is not Kind.GAUGE]
        return {
            (block.metric.name, labels): cells
            for block in blocks
            for labels, cells in block.split(self._own(block))
            if any(cells)
        }

    def total(self, metric: Metric, **labels: str) -> float:
        """The sum over every label value that is not named."""
        wanted = list(labels.items())
        names = list(metric.labels)
        return sum(
            sample.value
            for sample in self.read(metric)
            if all(sample.labels[names.index(label)] == value for label, value in wanted)
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric with one set of label values. A histogram's cells: its buckets, those above, the scaled sum."""

    metric: Metric
    labels: tuple[str, ...]
    cells: tuple[int, ...]

    @property
    def value(self) -> float:
        """A counter's or gauge's value; how often a histogram was fed."""
        if self.metric.kind is Kind.HISTOGRAM:
            return sum(self.cells[:-1])
        if self.metric.absent:
            return self.cells[0] - 1
        return self.cells[0] / self.metric.scale if self.metric.scale != 1 else self.cells[0]


class Counter:
    """Only rises. `add` is a plain integer addition."""

    __slots__ = ("_cell", "_row")

    def __init__(self, row: memoryview[int], cell: int) -> None:
        self._row = row
        self._cell = cell

    def add(self, amount: int = 1) -> None:
        """Add `amount`."""
        self._row[self._cell] += amount


class Gauge(Counter):
    """Rises, falls, is set."""

    __slots__ = ()

    def set(self, value: int) -> None:
        """Replace the value."""
        self._row[self._cell] = value


class Histogram:
    """How often a value fell between which bounds."""

    __slots__ = ("_bounds", "_cell", "_row", "_scale", "_sum")

    def __init__(self, row: memoryview[int], cell: int, metric: Metric) -> None:
        self._row = row
        self._cell = cell
        self._bounds = metric.bounds
        self._sum = cell + len(metric.bounds) + 1
        self._scale = metric.scale

    def observe(self, value: float, times: int = 1) -> None:
        """`times`: how many had this value."""
        self._row[self._cell + bisect_left(self._bounds, value)] += times
        self._row[self._sum] += times * round(value * self._scale)


class Instruments:
    """One process's row. Take an instrument once and keep it: taking costs more than using."""

    def __init__(self, layout: Layout, row: memoryview[int]) -> None:
        self._layout = layout
        self._row = row

    @classmethod
    def alone(cls) -> Instruments:
        """For a process, or a test, that nobody else reads."""
        return Table(Layout(), 1).row(0)

    def counter(self, metric: Metric, *labels: str) -> Counter:
        """`KeyError` for a label value outside its closed set."""
        return Counter(self._row, self._layout.cells[metric.name, labels])

    def has(self, metric: Metric, *labels: str) -> bool:
        """Whether each label value is of its closed set."""
        return (metric.name, labels) in self._layout.cells

    def gauge(self, metric: Metric, *labels: str) -> Gauge:
        """The gauge; `KeyError` for a label value outside its closed set."""
        return Gauge(self._row, self._layout.cells[metric.name, labels])

    def histogram(self, metric: Metric, *labels: str) -> Histogram:
        """The histogram; `KeyError` for a label value outside its closed set."""
        return Histogram(self._row, self._layout.cells[metric.name, labels], metric)
