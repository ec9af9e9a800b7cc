"""A site whose store is a bucket, beside a plain client of the same bucket."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from loadtests import nginx, ours
from loadtests.bench import Bench, ratio
from loadtests.corpus import KIB, MIB, Blob
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


def _in_the_bucket(
    bench: Bench, place: Bucket, prefix: str, parent: Parent, blobs: Sequence[Blob]
) -> list[str]:
    """Have a site bring them there; the presigned address of each."""
    writer = ours.site(
        bench.folder("writer"), [parent.url], store=ours.bucket(place, prefix, bench.folder("spool"))
    )
    writer.environment = {**writer.environment, **ours.bucket_keys(place)}
    with bench.running(writer, pinned=False):
        for blob in blobs:
            bench.get(writer, blob.path)
        return [_await_stored(place, prefix, blob) for blob in blobs]


@scenario(quick=False)
def warm(bench: Bench) -> Outcome:
    """Whole reads and 64 KiB ranges (8 connections) of blobs that are in the bucket, through a site with an empty spool
    and by a plain client with a presigned address: for the first time, when the site brings them to its spool, and
    again. Time at most 1.2 times the plain client's.

    The S3 server is SeaweedFS, which costs far more than either client; all share the two cores.
    """
    outcome = Outcome()
    wholes = [bench.corpus.blob(f"whole{number}", 256 * MIB - number * MIB) for number in range(bench.rounds)]
    parts = [bench.corpus.blob(f"part{number}", 128 * MIB - number * MIB) for number in range(bench.rounds)]
    prefix = "bench/"
    parent = Parent(bench.corpus, bench.folder("parent"))
    nginx.add_blobs(bench.corpus, [*wholes, *parts])
    with serve(bench.work) as place, bench.running(parent.server, pinned=False):
        direct = _in_the_bucket(bench, place, prefix, parent, [*wholes, *parts])
        mesh = ours.site(
            bench.folder("site"), [parent.url], store=ours.bucket(place, prefix, bench.folder("spool"))
        )
        mesh.environment = {**mesh.environment, **ours.bucket_keys(place)}
        with bench.running(mesh, pinned=False):
            parent.forget()
            s3_port = int(place.endpoint.rpartition(":")[2])
            for when in ("first", "again"):
                for kind, blobs, addresses, run in (
                    ("whole", wholes, direct[: len(wholes)], _whole),
                    ("64 KiB ranges", parts, direct[len(wholes) :], _ranges),
                ):
                    pairs = [
                        (run(bench, s3_port, address, blob.size), run(bench, mesh.port, blob.path, blob.size))
                        for blob, address in zip(blobs, addresses, strict=True)
                    ]
                    _tell(outcome, f"{kind}, {when}", pairs)
            outcome.at_most("bytes from the parent", parent.sent().body_bytes, 0)
    return outcome


def _ranges(bench: Bench, port: int, path: str, size: int) -> Drained:
    return bench.drain.run(port, [(path, size)], connections=8, each=100, range=64 * KIB)


def _whole(bench: Bench, port: int, path: str, size: int) -> Drained:
    return bench.drain.run(port, [(path, size)], connections=1, each=1)


def _tell(outcome: Outcome, kind: str, pairs: Sequence[tuple[Drained, Drained]]) -> None:
    """`pairs`: of each blob, what the plain client saw, and what a client of the site did."""
    for name, seen in zip(("plain client", "registry-mesh"), zip(*pairs, strict=True), strict=True):
        outcome.row(
            f"{name}, {kind}",
            requests_per_s=statistics.median(one.requests_per_second for one in seen),
            gb_per_s=statistics.median(one.gigabytes_per_second for one in seen),
            p99_ms=statistics.median(one.total.p99 for one in seen),
            failed=sum(one.failed for one in seen),
            said=next((one.complaint for one in seen if one.complaint), ""),
        )
    slower = statistics.median(
        ratio(plain.gigabytes_per_second, through.gigabytes_per_second) for plain, through in pairs
    )
    outcome.at_most(f"{kind}: nobody fails", sum(through.failed for _, through in pairs), 0)
    outcome.at_most(f"{kind}: time to the plain client", slower, 1.2)
