"""`registry-mesh who-pulled`."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import click

from registry_mesh.cli.node.asked import NodeAddress, Told, ask, node_at
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.on_images import WAIT, answered
from registry_mesh.config.scalars import parse_duration
from registry_mesh.config.schema import Config
from registry_mesh.findings.words import size
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import parse_name, parse_tag
from registry_mesh.oci.refusals import Refusal

COLUMNS: Final = ("day", "site", "registry", "repository", "kind", "digest", "tag", "who", "pulls", "bytes")
_SHOWN: Final = ("day", "site", "who", "repository", "tag", "digest")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_SHORT: Final = re.compile(r"sha256:[0-9a-f]{12}")
"""A digest as the table has it."""


@click.command(
    cls=OfNode,
    epilog="Exit codes: 0 shown; 1 nobody pulled it; 2 what is asked or the configuration is wrong; 3 no node "
    "answers; 4 it wants a login.",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("image", required=False, metavar="[REF|DIGEST]")
@click.option("--since", default="30d", show_default=True, help="A day (2026-01-31), or how long ago (30d).")
@click.option("--who", default="", help="Only this subject or address.")
@click.option("--by", help="Sums by these, such as who, or site,day: of " + ", ".join(COLUMNS[:-2]) + ".")
@click.option(
    "--unused",
    metavar="DURATION",
    help="List images here that nobody pulled for so long, new ones among them.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="A table for people, CSV and JSON for programs.",
)
def command(
    config: Path, image: str | None, since: str, who: str, by: str | None, unused: str | None, form: str
) -> None:
    """Say who pulled an image: by which node of the tree, on which day, how often, how many bytes.

    Asks the running node of CONFIG, which knows what it served itself, and what nodes below have passed on to it
    (pulls.file, pulls.reporters). REF is REPOSITORY or REPOSITORY:TAG, with its registry or without; the pulls of a tag
    are also those of the digests that it pointed at. DIGEST is that of a manifest or a layer.

    \b
    Examples:
      registry-mesh who-pulled origin.yaml atlas/app:1.2 --since 90d
      registry-mesh who-pulled origin.yaml sha256:… --by site,who
      registry-mesh who-pulled origin.yaml --since 2026-01-01 --format csv > pulls.csv
      registry-mesh who-pulled origin.yaml --unused 180d
    """
    if unused is not None and (by or who):
        raise click.UsageError("--unused lists images, not callers: leave out --by and --who")
    node = node_at(config)
    wanted = _asked(node, image) if image else {}
    if unused is not None:
        rows = _unused(node, _day(unused), wanted)
        what = f"each image of {image} that is" if image else "each image that is"
        _show(rows, ("image", "last pull"), form, f"{what} here was pulled since {_day(unused)}")
        sys.exit(0)
    asked = {"since": _day(since), "who": who, **wanted}
    told = answered(lambda: ask(node, f"/api/1/pulls?{urlencode(asked)}", wait=WAIT))
    keys = _keys(by) if by else (COLUMNS[:-2] if form != "table" else _SHOWN)
    rows = _sums(told["pulls"], keys)
    _show(rows, (*keys, "pulls", "bytes"), form, "" if rows else _none(node, image, who, _day(since)))
    sys.exit(0 if rows or not image else 1)


def _none(node: Config | NodeAddress, image: str | None, who: str, since: str) -> str:
    """The sentence that nobody pulled it, as far as is known."""
    what = f"no pull{f' of {image}' if image else ''}{f' by {who}' if who else ''} is known since {since}"
    began = answered(lambda: ask(node, "/api/1/pulls/last", wait=WAIT))["began"]
    if not began:
        return f"{what}: no pull is recorded yet"
    return f"{what}: records begin on {began}" if began > since else what


def _day(text: str) -> str:
    """A day, by itself or by how long ago it was."""
    if _DAY.fullmatch(text):
        return text
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(time.time() - parse_duration(text)))
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(f"{text} is neither a day (2026-01-31) nor a duration (30d)") from None


def _keys(by: str) -> tuple[str, ...]:
    keys = tuple(dict.fromkeys(key.strip() for key in by.split(",")))
    wrong = [key for key in keys if key not in COLUMNS[:-2]]
    if wrong:
        raise click.BadParameter(f"{wrong[0]} is none of {', '.join(COLUMNS[:-2])}", param_hint="--by")
    return keys


def _asked(node: Config | NodeAddress, image: str) -> dict[str, str]:
    """What a reference or digest asks the node for."""
    if _SHORT.fullmatch(image):
        raise click.BadParameter(f"{image} is shortened; --format csv and json show digests whole")
    try:
        if re.match(r"sha\d+:", image):
            return {"reference": str(Digest.parse(image))}
        named, at, digest = image.partition("@")
        head, colon, tag = named.rpartition(":")
        name, tag = (head, tag) if colon and "/" not in tag else (named, "")
        registry = next((host for host in _registries(node, name) if name.startswith(f"{host}/")), "")
        reference = str(Digest.parse(digest)) if at else str(parse_tag(tag)) if tag else ""
        repository = str(parse_name(name.removeprefix(f"{registry}/")))
    except Refusal as refusal:
        raise click.BadParameter(f"{image}: {refusal.reason}") from None
    return {"registry": registry, "repository": repository, "reference": reference}


def _registries(node: Config | NodeAddress, name: str) -> list[str]:
    """Those that `name` may begin with. Where no file says which the node has, a first part with a dot or a port."""
    if isinstance(node, NodeAddress):
        first = name.partition("/")[0]
        return [first] if {".", ":"} & set(first) else []
    return [*node.registries, node.registry or "origin"]


def _sums(pulls: Sequence[Told], keys: Sequence[str]) -> list[list[str | int]]:
    sums: defaultdict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
    for pull in pulls:
        count = sums[tuple(pull[key] for key in keys)]
        count[0] += pull["pulls"]
        count[1] += pull["bytes"]
    return [[*key, *count] for key, count in sorted(sums.items(), reverse="day" in keys)]


def _unused(config: Config | NodeAddress, since: str, wanted: Mapping[str, str]) -> list[list[str | int]]:
    """Images that are here, of those that are `wanted`, and were not pulled since that day, with their last day."""
    held = answered(lambda: ask(config, "/api/1/images", wait=WAIT))["images"]
    images = [each for each in held if _is_wanted(each, wanted)]
    told = answered(lambda: ask(config, "/api/1/pulls/last", wait=WAIT))
    if not told["began"] or told["began"] > since:
        began = told["began"] or "no day yet"
        click.echo(f"note: records begin on {began}: nothing is known of pulls before", err=True)
    days = _days(told["last"])
    found = ((each, max(days.get(key, "") for key in _keys_of(each))) for each in images)
    return [[each["name"], day or "never"] for each, day in found if day < since]


def _is_wanted(image: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether it is of the registry and repository, with the tag or digest, as far as they are named."""
    named = all(not wanted.get(key) or image[key] == wanted[key] for key in ("registry", "repository"))
    return named and (wanted.get("reference") or image["tag"]) in (image["tag"], image["digest"])


Key = tuple[str, str, str]
"""Registry, repository, and a tag or a digest."""


def _keys_of(image: Mapping[str, str]) -> tuple[Key, Key]:
    """What an image is pulled by: its tag, its digest."""
    place = image["registry"], image["repository"]
    return (*place, image["tag"]), (*place, image["digest"])


def _days(last: Sequence[Mapping[str, str]]) -> dict[Key, str]:
    """The newest day of each tag and each digest."""
    days: dict[Key, str] = {}
    for each in last:
        for key in _keys_of(each):
            if key[2]:  # a pull by digest has no tag
                days[key] = max(days.get(key, ""), each["day"])
    return days


def _show(rows: Sequence[Sequence[str | int]], heads: Sequence[str], form: str, nothing: str) -> None:
    if form == "json":
        named = [dict(zip(heads, row, strict=True)) for row in rows]
        click.echo(json.dumps(named, indent=2, ensure_ascii=False))
    elif form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([heads, *(map(_cell, row) for row in rows)])
        click.echo(text.getvalue(), nl=False)
    elif not rows:
        click.echo(nothing)
    else:
        click.echo("\n".join(_table(rows, heads)))


def _cell(value: str | int) -> str | int:
    """What no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _table(rows: Sequence[Sequence[str | int]], heads: Sequence[str]) -> Iterator[str]:
    cells = [[_short(head, value) for head, value in zip(heads, row, strict=True)] for row in rows]
    widths = [max(len(line[i]) for line in [list(heads), *cells]) for i in range(len(heads))]
    for line in [[head.upper() for head in heads], *cells]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _short(head: str, value: str | int) -> str:
    if head == "bytes":
        return size(int(value))
    return str(value)[:19] if head == "digest" else str(value)
