"""A bucket's secret, and what is signed with it: none is in anything that sites on it write and say."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.cli.main import main
from registry_mesh.oci.digest import Digest
from tests.clients import nodes
from tests.eventually import eventually_here
from tests.mesh.test_no_secret_leaves import (
    DIGEST,
    MARKS,
    ask,
    basic,
    command_lines,
    leaks,
    logs,
    operated,
    origin,
    written,
    written_by,
)
from tests.simulators.bucket import Bucket
from tests.simulators.collector import Collector, collector
from tests.suites.bytes_of import pattern


def bucket_site(folder: Path, origin: str, bucket: Bucket, prefix: str, kept: Collector) -> nodes.Node:
    """It sends its clients to the bucket, by addresses that it signs."""
    folder.mkdir()
    login = json.dumps({"username": "robot$ci", "password": MARKS["robot"]})
    parent = {
        "default": True,
        "readers": ["everybody"],
        "parents": [[origin]],
        "credentials": f"file:{written(folder / 'login', login)}",
    }
    s3 = {
        "bucket": bucket.name, "endpoint": bucket.endpoint, "region": bucket.region, "prefix": prefix,
        "redirect": "blobs", "spool": {"path": str(folder / "spool"), "quota": "64MiB"},
    }  # fmt: skip
    node = nodes.Node(
        folder,
        {"role": "site", "registries": {nodes.REGISTRY: parent}, "store": {"s3": s3}, "log": logs(folder)},
    )
    node.environment = {**bucket.keys, "OTEL_EXPORTER_OTLP_ENDPOINT": kept.url}
    node.within = ("env",)
    return node


def location(url: str) -> str:
    """Where a blob is redirected to; empty where it is not."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """Nowhere."""

    try:
        with urllib.request.build_opener(Stay).open(url, timeout=60):
            return ""
    except urllib.error.HTTPError as sent:
        return sent.headers.get("Location", "")


@pytest.mark.slow
@pytest.mark.s3
def test_no_secret_of_a_bucket_is_in_what_sites_on_it_write_and_say(tmp_path: Path, bucket: Bucket) -> None:
    """Nor what they sign, but in the answer that is for the client."""
    data = pattern(6 * MIB)
    digest = Digest.of(data)
    with ExitStack() as stack:
        kept = stack.enter_context(collector())
        above = stack.enter_context(origin(tmp_path, kept))
        prefix = bucket.prefix()
        sites = [bucket_site(tmp_path / name, above.url, bucket, prefix, kept) for name in ("one", "two")]
        brings, sends = (stack.enter_context(each) for each in sites)
        alice = basic("alice", MARKS["password"])
        ask(f"{above.url}/v2/a/blobs/uploads/?digest={digest}", "POST", data, Authorization=alice)
        blob = f"/v2/a/blobs/{digest}"
        said = [ask(brings.url + blob)]
        assert above.stop() == 0
        eventually_here(
            lambda: "X-Amz-Signature=" in location(sends.url + blob), "the blob to be in the bucket", 180
        )
        said += [ask(sends.url + blob), ask(f"{sends.url}/v2/a/blobs/{DIGEST}"), *operated(*sites)]
        wrong = {"AWS_ACCESS_KEY_ID": bucket.access_key, "AWS_SECRET_ACCESS_KEY": MARKS["wrong-password"]}
        refused = CliRunner().invoke(main, ["probe", str(sends.config)], env=wrong)
        assert "bucket" in refused.output
        said += [refused.output, repr(refused.exception)]
        lines = [line for line in command_lines() if "registry_mesh" in line]
        assert any(str(sends.config) in line for line in lines)
        assert [each.stop() for each in sites] == [0, 0]
        marks = {
            **MARKS,
            "secret": bucket.secret_key,
            "signature": "X-Amz-Signature",
            "scope": "X-Amz-Credential",
        }
        files = written_by(*sites)
        spans = kept.raw.decode("utf-8", "replace")
        assert {name: found for name, text in files.items() if (found := leaks(text, marks))} == {}
        assert [found for text in said if (found := leaks(text, marks))] == []
        assert spans and leaks(spans, marks) == set()
        assert leaks("\n".join(lines), marks) == set()
        assert sum(1 for text in files.values() if text) >= 4
