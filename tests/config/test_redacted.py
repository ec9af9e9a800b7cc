"""A configuration as others may see it, and the secrets that it leads to."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml

from registry_mesh.config.redacted import GONE, redacted, secrets_in, without

SECRET = "pa55-word-of-mine"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("credentials: file:/etc/hub.json", "credentials: file:/etc/hub.json"),
        ("credentials: env:HUB", "credentials: env:HUB"),
        (f"credentials: me:{SECRET}", f"credentials: {GONE}"),
        (f"password: {SECRET}", f"password: {GONE}"),
        (f"webhook_secret: {SECRET}", f"webhook_secret: {GONE}"),
        (f"proxy: http://me:{SECRET}@proxy:3128", f"proxy: http://{GONE}@proxy:3128"),
        (f"proxy: http://{SECRET}@proxy:3128/", f"proxy: http://{GONE}@proxy:3128"),
        (f"url: https://ci/hook/{SECRET}", f"url: https://ci/{GONE}"),
        (f"url: https://ci/?t={SECRET}", f"url: https://ci/{GONE}"),
        (f"parents: [['https://me:{SECRET}@up:5000']]", f"parents: [['https://{GONE}@up:5000']]"),
        (f"a: {{command: [/bin/x, --token, {SECRET}]}}", f"a: {{command: [/bin/x, {GONE}]}}"),
        ("token_service: https://auth.example", "token_service: https://auth.example"),
        ("tokens: {key: /etc/key.pem}", "tokens: {key: /etc/key.pem}"),
        ("workers: 4", "workers: 4"),
        (f"- see http://x/{SECRET} and https://y/{SECRET}", f"- see http://x/{GONE} and https://y/{GONE}"),
    ],
)
def test_no_secret_that_is_written_where_a_name_should_be_is_shown(written: str, shown: str) -> None:
    assert redacted(yaml.safe_load(written)) == yaml.safe_load(shown)


@pytest.mark.parametrize(
    "held",
    [
        SECRET,
        f"{SECRET}\n",
        f"registry-mesh:{SECRET}",
        json.dumps({"username": "registry-mesh", "password": SECRET}),
        json.dumps({"auths": {"r": {"auth": base64.b64encode(f"registry-mesh:{SECRET}".encode()).decode()}}}),
        json.dumps({"auths": {"r": {"identitytoken": SECRET}}}),
    ],
)
@pytest.mark.parametrize("kind", ["file", "env"])
def test_what_a_name_leads_to_is_found_and_cut_out_of_any_text(kind: str, held: str, tmp_path: Path) -> None:
    (tmp_path / "hub").write_text(held)
    named = "env:HUB" if kind == "env" else f"file:{tmp_path / 'hub'}"
    secrets = secrets_in({"registries": {"r": {"credentials": named}}}, {"HUB": held})
    told = {
        "why": [f"your login {SECRET} is wrong", f"Basic {SECRET}"],
        f"x{SECRET}": 1,
        "registry-mesh": None,
    }
    assert without(told, secrets) == {
        "why": [f"your login {GONE} is wrong", f"Basic {GONE}"],
        f"x{GONE}": 1,
        "registry-mesh": None,
    }


def test_what_cannot_be_read_leads_to_nothing(tmp_path: Path) -> None:
    assert (
        secrets_in({"a": f"file:{tmp_path / 'none'}", "b": "env:NOBODY_SET_THIS", "c": ["x"], "d": 5}) == []
    )
    assert secrets_in({"proxy": f"http://me:{SECRET}@proxy"}) == [f"me:{SECRET}", SECRET]
