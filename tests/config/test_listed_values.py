"""Recorded listings of which a value is of another kind: one sentence with the key, at every command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.recorded_listing import read_listing

HEAD = '{"schema": "registry-mesh/listing/1"}\n'
DIGEST = "sha256:" + "a" * 64
OF_A_TAG: dict[str, tuple[Any, str]] = {  # Any: JSON
    "since as a text": ({"since": "yesterday"}, "since is a time: seconds since the epoch"),
    "since past all dates": ({"since": 1e20}, "since is a time"),
    "since before the epoch": ({"since": -1}, "since is a time"),
    "since for ever": ({"since": float("inf")}, "since is a time"),
    "no number": ({"since": float("nan")}, "since is a time"),
    "since as a truth": ({"since": True}, "since is a time"),
    "here": ({"here": "q"}, "here is a time"),
    "gone": ({"gone": "y"}, "gone is a time"),
    "unselected": ({"unselected": []}, "unselected is a time"),
    "held until": ({"held_until": "tomorrow"}, "held_until is a time"),
    "moves": ({"moves": 1.5}, "moves is a number from 0 on"),
    "size as a text": ({"size": "big"}, "size is a number"),
    "less than nothing": ({"size": -3}, "size is a number"),
    "blobs as a list": ({"blobs": [DIGEST]}, "blobs is a mapping of digests to bytes"),
    "a blob of a text": ({"blobs": {DIGEST: "1"}}, "a blob's size is a number"),
    "a blob without end": ({"blobs": {DIGEST: float("inf")}}, "a blob's size is a number"),
    "type": ({"type": 3}, "type is a text"),
    "labels": ({"labels": ["a"]}, "labels is a mapping"),
    "a label": ({"labels": {"a": 3}}, "a is a list of texts"),
    "images": ({"images": {"linux/amd64": {}}}, "images is a list of mappings"),
    "an image": ({"images": ["linux/amd64"]}, "images is a list of mappings"),
    "platform of an image": ({"images": [{"platform": 3}]}, "platform is a text"),
    "labels of an image": ({"images": [{"labels": ["a"]}]}, "labels is a mapping"),
    "a label of an image": ({"images": [{"labels": {"a": 3}}]}, "a label of an image is a text or null"),
    "signers": ({"signed_by": "k"}, "signed_by is a list of texts"),
    "companions": ({"has": [3]}, "has is a list of texts"),
    "platforms": ({"blobs": {}, "platforms": ["linux/amd64"]}, "platforms is a mapping"),
    "a platform": ({"blobs": {}, "platforms": {"linux/amd64": 3}}, "linux/amd64 is a list of texts"),
    "partial": ({"partial": "yes"}, "partial is true or false"),
    "rules": ({"rules": 3}, "rules is a list of texts"),
    "made of": ({"made_of": 3}, "another form of line"),
}
OF_A_LINE: dict[str, tuple[Any, str]] = {  # Any: JSON
    "tags as a list": ({"tags": ["x"]}, "tags is a mapping"),
    "a tag as a number": ({"tags": {"x": 3}}, "a tag is a digest or a mapping"),
    "listed past all dates": ({"listed_at": 1e20}, "listed_at is a time"),
    "error": ({"error": 3}, "error is a text"),
    "registry": ({"registry": 3}, "registry and repository are texts"),
    "port": ({"registry": "a.b:99999"}, "a port is a number from 1 to 65535"),
}
CASES = {
    **{name: ({"tags": {"x": {"digest": DIGEST, **tag}}}, why) for name, (tag, why) in OF_A_TAG.items()},
    **OF_A_LINE,
}
RULE = "{from: a.b, repos: c, tags: x, age: 3d, max: 1GiB, types: image, delete: 1d, keep: {newest: 1, by: seen}}"


@pytest.mark.parametrize("case", CASES)
def test_a_value_of_another_kind_is_told_with_its_key(case: str, tmp_path: Path) -> None:
    more, why = CASES[case]
    file = tmp_path / "listing"
    file.write_text(HEAD + json.dumps({"registry": "a.b", "repository": "c", **more}) + "\n")
    with pytest.raises(ConfigInvalid) as caught:
        list(read_listing(file))
    assert f"{file}:2:1: no recorded listing: {why}" in str(caught.value)


def test_every_command_tells_it(tmp_path: Path) -> None:
    listing, rules = tmp_path / "listing", tmp_path / "rules.yaml"
    listing.write_text(
        HEAD + json.dumps({"registry": "a.b", "repository": "c", "tags": {"x": {"since": "y"}}})
    )
    rules.write_text(f"schema: registry-mesh/rules/2\nrules:\n  - {RULE}\n")
    empty = tmp_path / "empty"
    empty.write_text(HEAD)
    of, at = str(rules), str(listing)
    for command in (
        ["plan", of, "--listing", at],
        ["plan", of, "--listing", str(empty), "--held", at],
        ["diff", of, of, "--listing", at],
        ["lint", of, "--catalog", at],
        ["migrate", of, "--catalog", at],
    ):
        found = CliRunner().invoke(main, ["rules", *command])
        assert (found.exit_code, "since is a time" in found.stderr) == (2, True), found.output
