"""SVG figures of what was measured, for the docs.

python -m loadtests.figures loadtests/results/FILE.json docs/figures
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

from loadtests import report

matplotlib.use("svg")
import matplotlib.pyplot as plt  # the backend comes first

OURS, THEIRS = "#0b6e4f", "#9aa5b1"
BARS = {
    "site.lazy_ranges.warm_64k": ("cpu_us_per_request", "64 KiB ranges, held: server CPU, µs a request"),
    "site.manifests.warm": ("cpu_us_per_request", "manifests, held: server CPU, µs a request"),
    "site.layers.warm": ("cpu_s_per_gib", "1 GiB layer, held: server CPU, s a GiB"),
    "site.layers.warm_tls": ("cpu_s_per_gib", "1 GiB layer, held, TLS: server CPU, s a GiB"),
    "site.cold_start.over_20ms": ("total_ms", "cold layer over 1 Gbit/s, 20 ms: ms"),
    "site.cold_start.over_100ms": ("total_ms", "cold layer over 1 Gbit/s, 100 ms: ms"),
    "site.cold_start.over_loopback": ("total_ms", "cold layer, free loopback: ms"),
    "site.storm.hundred": ("total_s", "100 clients, one cold layer: s until the last is done"),
    "site.storm.thousand": ("total_s", "1,000 clients, one cold layer: s until the last is done"),
}
CURVES = {
    "site.growth.blobs_held": (
        "blobs",
        ("start_s", "cpu_us_per_request", "cpu_us_per_evicted_blob", "memory_mib"),
        "cost by blobs held",
    ),
    "site.crowd.churn": ("second", ("memory_mib", "open_files"), "under churn"),
    "origin.catalog.tags_held": (
        "tags",
        ("cpu_us_per_tag", "cpu_ms_first_page", "cpu_ms_last_page"),
        "an origin's cost by tags held",
    ),
}


def _bars(rows: list[dict[str, Any]], figure: str, title: str, file: Path) -> None:
    rows = [row for row in rows if isinstance(row.get(figure), (int, float)) and row[figure] == row[figure]]
    names = [row["subject"] for row in rows]
    values = [row[figure] for row in rows]
    fig, axes = plt.subplots(figsize=(7, 0.5 + 0.4 * len(rows)))
    colours = [OURS if name.startswith("registry-mesh") else THEIRS for name in names]
    axes.barh(names, values, color=colours)
    bars: Any = axes.containers[0]  # Any: matplotlib does not say that barh makes a BarContainer
    axes.bar_label(bars, fmt=" %.3g")
    if values and max(values) > 20 * min(values):
        axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    fig.savefig(file, bbox_inches="tight")
    plt.close(fig)


def _curves(
    rows: list[dict[str, Any]], across: str, figures: tuple[str, ...], title: str, file: Path
) -> None:
    rows = [row for row in rows if across in row]
    fig, all_axes = plt.subplots(1, len(figures), figsize=(3.4 * len(figures), 2.6), squeeze=False)
    for axes, figure in zip(all_axes[0], figures, strict=True):
        points = [(row[across], row[figure]) for row in rows if figure in row]
        axes.plot([x for x, _ in points], [y for _, y in points], "o-", color=OURS, markersize=3)
        if points and max(x for x, _ in points) > 100 * min(x for x, _ in points) > 0:
            axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(across.replace("_", " "))
        axes.set_title(figure.replace("_", " "), fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    fig.suptitle(title, fontsize=10)
    fig.tight_layout()
    fig.savefig(file)
    plt.close(fig)


def draw(results: Mapping[str, list[dict[str, Any]]], folder: Path) -> None:
    """One file for the rows of each scenario, named by it; scenarios that were not run keep the file they have."""
    folder.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "registry-mesh"
    for name, rows in results.items():
        file = folder / f"{name}.svg"
        if name in BARS and rows:
            _bars(rows, *BARS[name], file)
        elif name in CURVES and rows:
            _curves(rows, *CURVES[name], file)


if __name__ == "__main__":
    draw(report.rows(Path(sys.argv[1])), Path(sys.argv[2]))
