"""A site whose store is a bucket, beside a plain client of the same bucket."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from loadtests import ours
from loadtests.bench import Bench, ratio
from loadtests.corpus import KIB, Blob
from loadtests.drain import Drained
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent
from tests.simulators.bucket import Bucket, serve


def _presigned(place: Bucket, prefix: str, blob: Blob) -> str:
    """Path and query of the object that holds `blob`; a Range is not part of the signature."""
    import boto3
    from botocore.config import Config

    client: Any = boto3.client(  # Any: typed by stubs only where they are installed
        "s3",
        endpoint_url=place.endpoint,
        region_name=place.region,
        aws_access_key_id=place.access_key,
        aws_secret_access_key=place.secret_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=place.name, Prefix=prefix)
    wanted = [one["Key"] for page in pages for one in page.get("Contents", ()) if one["Size"] == blob.size]
    if not wanted:
        raise RuntimeError("the blob is not in the bucket")
    url = client.generate_presigned_url(
        "get_object", Params={"Bucket": place.name, "Key": wanted[0]}, ExpiresIn=3600
    )
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def _await_stored(place: Bucket, prefix: str, blob: Blob) -> str:
    deadline = time.monotonic() + 60
    while True:
        try:
            return _presigned(place, prefix, blob)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@scenario(quick=False)
def warm(bench: Bench) -> Outcome:
    """64 KiB ranges (8 connections) and whole reads of a 256 MiB blob that is in the bucket but not in the spool,
    through the site and by a plain client with a presigned address. Time at most 1.2 times the plain client's.

    The S3 server is SeaweedFS, which costs far more than either client; all share the two cores.
    """
    outcome = Outcome()
    blob = bench.corpus.layer
    prefix = "bench/"
    parent = Parent(bench.corpus, bench.folder("parent"))
    with serve(bench.work) as place, bench.running(parent.server, pinned=False):
        writer = ours.site(
            bench.folder("writer"), [parent.url], store=ours.bucket(place, prefix, bench.folder("spool"))
        )
        writer.environment = {**writer.environment, **ours.bucket_keys(place)}
        with bench.running(writer, pinned=False):
            bench.get(writer, blob.path)
            direct = _await_stored(place, prefix, blob)
        mesh = ours.site(
            bench.folder("site"), [parent.url], store=ours.bucket(place, prefix, bench.folder("spool"))
        )
        mesh.environment = {**mesh.environment, **ours.bucket_keys(place)}
        with bench.running(mesh, pinned=False):
            parent.forget()
            _compare(bench, outcome, int(place.endpoint.rpartition(":")[2]), direct, mesh.port, blob)
            outcome.at_most("bytes from the parent", parent.sent().body_bytes, 0)
    return outcome


def _compare(bench: Bench, outcome: Outcome, s3_port: int, direct: str, port: int, blob: Blob) -> None:
    def ranges(at: int, path: str) -> Drained:
        return bench.drain.run(at, [(path, blob.size)], connections=8, seconds=bench.seconds, range=64 * KIB)

    def whole(at: int, path: str) -> Drained:
        return bench.drain.run(at, [(path, blob.size)], connections=1, each=2)

    kinds: list[tuple[str, Callable[[int, str], Drained], Callable[[Drained], float]]] = [
        ("64 KiB ranges", ranges, lambda seen: 1 / max(1.0, seen.requests_per_second)),
        ("whole", whole, lambda seen: 1 / max(0.001, seen.gigabytes_per_second)),
    ]
    for kind, run, cost in kinds:
        plain: list[Drained] = []
        through: list[Drained] = []
        for _ in range(bench.rounds):
            plain.append(run(s3_port, direct))
            through.append(run(port, blob.path))
        for name, all_seen in (("plain client", plain), ("registry-mesh", through)):
            outcome.row(
                f"{name}, {kind}",
                requests_per_s=statistics.median(one.requests_per_second for one in all_seen),
                gb_per_s=statistics.median(one.gigabytes_per_second for one in all_seen),
                p99_ms=statistics.median(one.total.p99 for one in all_seen),
                failed=sum(one.failed for one in all_seen),
                said=next((one.complaint for one in all_seen if one.complaint), ""),
            )
        slower = ratio(statistics.median(map(cost, through)), statistics.median(map(cost, plain)))
        outcome.at_most(f"{kind}: nobody fails", outcome.rows[-1]["failed"], 0)
        outcome.at_most(f"{kind}: time to the plain client", slower, 1.2)
