"""`registry-mesh rules plan` and `rules diff`."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import click

from registry_mesh.cli.rules.against_view import against_lines
from registry_mesh.cli.rules.committed import rules_at
from registry_mesh.cli.rules.plan_view import diff_line, plan_lines
from registry_mesh.cli.rules.rule_options import EXIT_LOOK, EXIT_STOPPED, PATHS, load, or_exit, parsed, read
from registry_mesh.config.recorded_listing import read_listing
from registry_mesh.config.rule_files import RuleTexts
from registry_mesh.config.scalars import parse_size
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.difference import Change, Tally, difference
from registry_mesh.replication.listing import Beside, HeldPlaces, Recorded, joined_facts
from registry_mesh.replication.plan import Plan
from registry_mesh.replication.plan_document import digest, pieces
from registry_mesh.replication.plan_totals import Link, summary
from registry_mesh.replication.planning import Node, plan
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.sentences import size
from registry_mesh.replication.tag_facts import TagFacts

_FILE = click.Path(path_type=Path)


@click.command(
    "plan",
    epilog="Exit codes: 0 fine; 1 something is refused; 2 a file is wrong; 3 a conflict or the guard stops it.",
)
@PATHS
@click.option("--listing", type=_FILE, required=True, help="What the sources show (registry-mesh/listing/1).")
@click.option("--held", type=_FILE, help="What the node holds, in the same form; nothing where absent.")
@click.option(
    "--against", metavar="COMMIT", help="Say first what changes against the same files at a commit of git."
)
@click.option("--now", type=float, help="Seconds since the epoch; the clock's where absent.")
@click.option("--node", default="", help="The node that it is for; every rule counts where absent.")
@click.option(
    "--group", "groups", multiple=True, help="A group that the node is in; may stand several times."
)
@click.option("--own", help="The registry under which the node keeps all, where it has one of its own.")
@click.option("--rate", help="What the link gives, such as 100MiB (a second).")
@click.option("--price", type=float, help="Of one GiB over the link.")
@click.option("--currency", default="USD", help="Of the price.")
@click.option("--format", type=click.Choice(["text", "json", "markdown"]), default="text", help="For whom.")
def plan_(
    paths: tuple[Path, ...],
    listing: Path,
    held: Path | None,
    against: str | None,
    now: float | None,
    node: str,
    groups: tuple[str, ...],
    own: str | None,
    rate: str | None,
    price: float | None,
    currency: str,
    format: str,
) -> None:
    """Say what a node would do under the rules: copies, moves, deletions, bytes, time and money; without a network.

    With --against the references that come, go or are taken otherwise stand before it, by repository and with the
    rule that is the reason; rules diff lists each.

    \b
    Examples:
      registry-mesh rules plan config/rules --listing seen.jsonl --held held.jsonl
      registry-mesh rules plan config/rules --listing seen.jsonl --against main
    """
    if against is not None and format != "text":
        raise click.UsageError("--against is for text: rules diff has json and markdown")
    texts = read(paths)
    rules = parsed(texts)
    at = time.time() if now is None else now
    more = Beside()
    here = _held(held, more)
    whom = Node(node, groups, None if own is None else RegistryName(own))
    shown = _twice(listing) if against is not None else partial(read_listing, listing)
    found = or_exit(lambda: plan(rules, shown(), here, at, whom, rules_digest(texts), more))
    if against is not None:
        before = or_exit(lambda: rules_at(paths, against))
        tally = Tally()
        changes = or_exit(lambda: list(difference(before, rules, shown(), at, tally, here, whom.own)))
        for line in (*against_lines(before, rules, against, changes, found), _sum(changes, tally.tags), ""):
            click.echo(line)
    link = Link(None if rate is None else _rate(rate), price, currency if price is not None else "")
    sys.exit(tell(found, rules, link, format))


def _held(file: Path | None, beside: Beside | None = None) -> HeldPlaces:
    """What the node holds, as it is recorded."""
    if file is None:
        return {}
    return or_exit(lambda: {_key(each): each for each in read_listing(file, beside)})


def _twice(listing: Path) -> Callable[[], Iterable[Recorded]]:
    """The listing each time it is asked for; a pipe's is kept, for it can be read once."""
    if listing.is_file():
        return partial(read_listing, listing)
    kept = or_exit(lambda: list(read_listing(listing)))
    return lambda: kept


def tell(found: Plan, rules: Rules, link: Link, format: str) -> int:
    """Print a plan; gives the exit code."""
    told = summary(found, rules, link)
    if format == "json":
        for piece in pieces(found, told, link):
            sys.stdout.write(piece)
    else:
        for line in plan_lines(found, told, link, digest(found, told, link), markdown=format == "markdown"):
            click.echo(line)
    if found.stopped:
        return EXIT_STOPPED
    return EXIT_LOOK if found.refused or found.troubles else 0


@click.command("diff", epilog="Exit codes: 0 fine; 1 something changes, with --exit-code; 2 a file is wrong.")
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@click.option(
    "--listing",
    "listings",
    type=_FILE,
    multiple=True,
    required=True,
    help="What the sources show (registry-mesh/listing/1); of several, as OLD and NEW look at them, all counts.",
)
@click.option("--held", type=_FILE, help="What the node holds, in the same form; nothing where absent.")
@click.option("--now", type=float, help="Seconds since the epoch; the clock's where absent.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where something changes.")
@click.option("--format", type=click.Choice(["text", "json", "markdown"]), default="text", help="For whom.")
def diff(
    old: Path,
    new: Path,
    listings: tuple[Path, ...],
    held: Path | None,
    now: float | None,
    exit_code: bool,
    format: str,
) -> None:
    """Say which references come, go, or are taken otherwise with the rules NEW in place of OLD (files or directories).

    \b
    Example:
      registry-mesh rules diff main/rules branch/rules --listing seen.jsonl
    """
    before, after = load([old]), load([new])
    tally = Tally()
    at = time.time() if now is None else now
    here = _held(held)
    found = or_exit(lambda: list(difference(before, after, _together(listings), at, tally, here)))
    if format == "json":
        click.echo(json.dumps({"tags": tally.tags, "changes": [asdict(each) for each in found]}, indent=2))
    else:
        if format == "markdown":
            click.echo("```diff")
        for each in found:
            click.echo(diff_line(each))
        if format == "markdown":
            click.echo("```")
        click.echo(_sum(found, tally.tags))
    sys.exit(EXIT_LOOK if exit_code and found else 0)


def _together(listings: tuple[Path, ...]) -> Iterable[Recorded]:
    """One listing as it is read; of several all repositories, each with all tags, and of a tag what either knows."""
    if len(listings) == 1:
        return read_listing(listings[0])
    found: dict[tuple[RegistryName, RepositoryName], Recorded] = {}
    for path in listings:
        for each in read_listing(path):
            before = found.get(_key(each))
            found[_key(each)] = each if before is None else replace(each, tags=_joined(before, each))
    return found.values()


def _joined(one: Recorded, other: Recorded) -> dict[Tag, TagFacts]:
    both = {tag: joined_facts(one.tags[tag], each) for tag, each in other.tags.items() if tag in one.tags}
    return {**one.tags, **other.tags, **both}


def _sum(found: list[Change], tags: int) -> str:
    parts = []
    for kind, one, several in (("+", "comes", "come"), ("-", "goes", "go"), ("~", "changes", "change")):
        some = [each for each in found if each.kind == kind]
        if some:
            told = sum(each.size or 0 for each in some)
            weight = f" ({size(told)})" if told else ""
            parts.append(f"{len(some)} {one if len(some) == 1 else several}{weight}")
    return f"{len(found):,} of {tags:,} references {'changes' if len(found) == 1 else 'change'}" + (
        f"; {', '.join(parts)}" if parts else ""
    )


def _key(recorded: Recorded) -> tuple[RegistryName, RepositoryName]:
    place = recorded.place
    return place.registry, place.repository


def rules_digest(texts: RuleTexts) -> str:
    """Of the bytes of all files, in the order of their names."""
    sum_ = hashlib.sha256()
    read = [(Path(path).name, data) for path, data in texts if isinstance(data, bytes)]
    for name, data in sorted(read):
        sum_.update(f"{name} {len(data)}\n".encode() + data)
    return f"sha256:{sum_.hexdigest()}"


def _rate(text: str) -> float:
    try:
        return float(parse_size(text.removesuffix("/s")))
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="--rate") from None
