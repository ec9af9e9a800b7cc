"""A secret that was written where its name belongs is not repeated by the fault: it would stand in the journal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import parse

SECRET = "pa55-word-of-mine"
PARENT = {"parents": [["https://up.example"]]}


def replica(**more: object) -> dict[str, Any]:
    return {"role": "replica", "rules": "/nowhere", "store": {"disk": {"path": "/s"}}, **more}


def registry(**more: object) -> dict[str, Any]:
    return replica(registries={"r.example": {**PARENT, **more}})


@pytest.mark.parametrize(
    "whole",
    [
        replica(replication={"webhook_secret": SECRET}),
        replica(replication={"webhook_secret": [SECRET]}),
        registry(credentials=SECRET),
        registry(credentials={"username": "u", "password": SECRET}),
        registry(credentials={"command": ["/bin/x", "--token", SECRET], "timeout": "1x"}),
        registry(parents=[[f"https://up.example/?token={SECRET}"]]),
        registry(parents=[[f"https://u:{SECRET}@up.example"]]),
        registry(parents=f"https://up.example/?token={SECRET}"),
        registry(parents=f"https://u:{SECRET}@up.example"),
        registry(proxy=f"ftp://u:{SECRET}@proxy:1"),
        registry(proxy=f"ftp://proxy:1/?p={SECRET}"),
        registry(token_service=f"http://u:{SECRET}@auth.example"),
        registry(token_service=f"ftp://auth.example/?t={SECRET}"),
        replica(store={"s3": {"bucket": "b", "endpoint": f"ftp://u:{SECRET}@s3.example"}}),
        replica(store={"s3": {"bucket": "b", "endpoint": f"ftp://s3.example/?k={SECRET}"}}),
        replica(store={"s3": {"bucket": "b", "secret_key": SECRET}}),
        replica(access={"issuers": {"o": {"issuer": "o", "audience": "a", "keys": f"ftp://k/?t={SECRET}"}}}),
        replica(siblings={"nodes": {"a": f"https://u:{SECRET}@a"}, "credentials": SECRET}),
        {
            **replica(),
            "role": "origin",
            "webhooks": {"receivers": {"ci": {"url": "https://ci", "secret": SECRET}}},
        },
        {**replica(), "role": "origin", "webhooks": {"receivers": {"ci": {"url": f"ftp://ci/?t={SECRET}"}}}},
    ],
    ids=lambda whole: json.dumps(whole)[50:].replace(SECRET, "SECRET")[-60:],
)
def test_no_fault_repeats_a_secret(whole: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid) as invalid:
        parse(json.dumps(whole), "node.yaml").fit()
    said = "\n".join(map(str, invalid.value.findings))
    assert said
    assert SECRET not in said
