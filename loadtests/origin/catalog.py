"""What an origin's lookups and listings do when it holds more and more tags."""

from __future__ import annotations

import http.client
import json
import random
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from loadtests import ours
from loadtests.bench import Bench, Measured, ratio
from loadtests.corpus import ACCEPT, MANIFEST_TYPE, REPOSITORY
from loadtests.origin.uploads import push
from loadtests.processes import Server
from loadtests.scenario import Outcome, scenario

TAGS = 1_000
"""Tags of each repository."""


def _push_image(bench: Bench, server: Server) -> None:
    tiny = bench.corpus.tiny
    push(server, tiny)
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": tiny.digest,
        "size": tiny.size,
    }
    document = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": []}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Content-Type": MANIFEST_TYPE}
    connection.request("PUT", f"/v2/{REPOSITORY}/manifests/t0", json.dumps(document), headers)
    answer = connection.getresponse()
    if answer.status != 201:
        raise RuntimeError(f"{answer.status}: {answer.read()[:200]!r}")
    connection.close()


def _more_tags(first: Path, repositories: range) -> None:
    """Of the repository in `first`, which has one tag, as many siblings, each with `TAGS` tags of the same image."""
    record = next((first / "_tags/t0").iterdir())
    document = record.read_bytes()
    for number in repositories:
        place = first.with_name(f"{first.name}{number}")
        shutil.copytree(first, place)
        for tag in range(1, TAGS):
            folder = place / f"_tags/t{tag}"
            folder.mkdir()
            with open(folder / record.name, "wb", buffering=0) as file:
                file.write(document)


def _ask(bench: Bench, server: Server, paths: Sequence[str]) -> Measured:
    run = partial(
        bench.drain.run,
        server.port,
        [(path, -1) for path in paths],
        connections=4,
        requests=len(paths),
        header=ACCEPT,
        cores=bench.client_core,
    )
    run()
    measured = bench.clean(server, run)
    if measured.seen.failed:
        raise RuntimeError(measured.seen.complaint)
    return measured


@scenario(quick=False)
def tags_held(bench: Bench) -> Outcome:
    """An origin on a disk with 10^3, 10^5 (and, in the full run, 10^6) tags, a thousand in each repository: CPU of a
    manifest by any tag, of a page of 100 tags and a page of 50 repositories (the first, the last).

    Flat or logarithmic: with the most tags, a manifest and a page of tags cost at most 1.5 times what they cost with
    10^3, a page of repositories what it costs where there are 100.
    """
    outcome = Outcome()
    folder = bench.folder("origin")
    origin = ours.origin(folder)
    with bench.running(origin):
        _push_image(bench, origin)
        first = next(folder.glob(f"store/**/repositories/{REPOSITORY}"))
        made = 0
        for count in (1_000, 100_000) if bench.quick else (1_000, 100_000, 1_000_000):
            _more_tags(first, range(made, count // TAGS))
            made = count // TAGS
            outcome.row("registry-mesh origin", tags=count, **_costs(bench, origin, made))
    few, most = outcome.rows[0], outcome.rows[-1]
    for figure in ("cpu_us_per_tag", "cpu_ms_first_page", "cpu_ms_last_page"):
        outcome.at_most(f"{figure}, most to few", ratio(most[figure], few[figure]), 1.5)
    for figure in ("cpu_ms_repositories", "cpu_ms_last_repositories"):
        outcome.at_most(f"{figure}, most to 100", ratio(most[figure], outcome.rows[1][figure]), 1.5)
    return outcome


def _costs(bench: Bench, origin: Server, repositories: int) -> dict[str, float]:
    source = random.Random(repositories)
    names = [f"{REPOSITORY}{source.randrange(repositories)}" for _ in range(2_000)]
    manifests = [f"/v2/{name}/manifests/t{source.randrange(TAGS)}" for name in names]
    by_tag = _ask(bench, origin, manifests)
    first = _ask(bench, origin, [f"/v2/{name}/tags/list?n=100" for name in names[:200]])
    last = _ask(bench, origin, [f"/v2/{name}/tags/list?n=100&last=t909" for name in names[:200]])
    listed = _ask(bench, origin, ["/v2/_catalog?n=50"] * 10)
    end = sorted(f"{REPOSITORY}{number}" for number in range(repositories))[-50:][0]
    listed_last = _ask(bench, origin, [f"/v2/_catalog?n=50&last={end}"] * 10)
    return {
        "cpu_us_per_tag": by_tag.us_per_request,
        "cpu_ms_first_page": first.us_per_request / 1000,
        "cpu_ms_last_page": last.us_per_request / 1000,
        "cpu_ms_repositories": listed.us_per_request / 1000,
        "cpu_ms_last_repositories": listed_last.us_per_request / 1000,
        "memory_mib": origin.memory().pss,
    }
