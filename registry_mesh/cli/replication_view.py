"""A run of the rules in a terminal: its progress, and what it came to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from registry_mesh.content.snapshot.copying.progress import Meter, Phase, Progress
from registry_mesh.content.snapshot.records.outcome import Outcome

_EVERY = 0.25
_LINE_EVERY = 10.0
"""Seconds between two looks: at a terminal, and where lines go to a file."""


async def show_progress(meter: Callable[[], Meter], stream: TextIO) -> None:
    """Until cancelled. A line that moves at a terminal; elsewhere a line now and then."""
    console = Console(file=stream)
    if not console.is_terminal:
        while True:
            await asyncio.sleep(_LINE_EVERY)
            print(progress_line(meter().look(time.monotonic())), file=stream, flush=True)
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        while True:
            live.update(_moving(meter().look(time.monotonic())))
            await asyncio.sleep(_EVERY)


def progress_line(progress: Progress) -> str:
    """`copying: 1.2 GiB of 60 GiB, 210 MiB/s, 4:47 left; 31 of 64 tags; 2 failed`."""
    if progress.phase is Phase.LISTING:
        head = f"looking: {progress.tags} tags in {progress.repositories} repositories"
    else:
        left = f", {clock(progress.eta)} left" if progress.eta is not None and progress.size_left else ""
        head = (
            f"copying: {size(progress.size_done)} of {size(progress.size)}, {size(progress.rate)}/s{left}; "
            f"{progress.tags_done} of {progress.tags} tags"
        )
    return head + (f"; {progress.failed} failed" if progress.failed else "")


def _moving(progress: Progress) -> Table:
    grid = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(1, progress.size), completed=progress.size_done, width=24)
    listing = progress.phase is Phase.LISTING
    text = Text(progress_line(progress), style="red" if progress.failed else "")
    grid.add_row(Text("") if listing else bar, text)
    return grid


def outcome_lines(outcome: Outcome, seconds: float) -> Iterator[str]:
    """The result; then notes; then everything that failed, and why."""
    yield (
        f"{outcome.held} of {outcome.tags} wanted tags held in {outcome.repositories} repositories; {outcome.switched} "
        f"switched; {size(outcome.size)} brought in {seconds:.1f} s"
        + (f"; {outcome.deleted} deleted" if outcome.deleted else "")
    )
    for note in outcome.notes:
        yield f"note: {note}"
    if outcome.troubles:
        yield f"{len(outcome.troubles)} failed:"
        width = min(100, max(len(trouble.what) for trouble in outcome.troubles))
        for trouble in outcome.troubles:
            yield f"  {trouble.what:{width}}  {trouble.why}"


def size(count: float) -> str:
    """Bytes for people: `1.2 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"


def clock(seconds: float) -> str:
    """`4:47`, `1:04:47`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
