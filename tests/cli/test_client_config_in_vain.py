"""`client-config` of a site that clients would pass over: it says why."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from registry_mesh.cli.client_config import command

NAMES = "DNS:cache.example,DNS:*.site.example,IP:10.0.0.5"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    certificate, key = tmp_path / "tls.pem", tmp_path / "tls.key"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"]
    files = ["-addext", f"subjectAltName={NAMES}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make, *files], check=True, capture_output=True)
    more = [{"names": ["*.other.example"], "certificate": str(certificate), "key": str(key)}]
    tls = {"certificate": str(certificate), "key": str(key), "more": more}
    file = tmp_path / "site.yaml"
    registries = {"docker.io": {"parents": [["https://registry-1.docker.io"]], "aliases": ["hub.example"]}}
    whole = {"role": "site", "listen": {"tls": tls}, "store": {"disk": {"path": "/x"}}}
    file.write_text(json.dumps({**whole, "registries": registries}))
    return file


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(command, ["containerd", *map(str, words)])


def notes(*words: str | Path) -> list[str]:
    outcome = run(*words)
    assert outcome.exit_code == 0, outcome.output
    return [line for line in outcome.stderr.splitlines() if line.startswith("note: ")]


def test_an_address_that_the_certificate_does_not_name(site: Path) -> None:
    assert notes(site) == [
        "note: the site's certificate is for cache.example, *.site.example, 10.0.0.5, not for 127.0.0.1: "
        "clients refuse it, many without a word; say --url https://cache.example:5000"
    ]
    assert notes(site, "--url", "https://a.b.site.example:5000"), "a * is of one label"


@pytest.mark.parametrize(
    "url",
    [
        "https://cache.example:5000",
        "https://CACHE.example",
        "https://a.site.example",
        "https://10.0.0.5:5000",
        "https://a.other.example",
        "http://proxy.example",
    ],
)
def test_nothing_is_said_of_an_address_that_it_names(site: Path, url: str) -> None:
    assert notes(site, "--url", url) == []


def test_a_registry_that_the_site_does_not_serve(site: Path) -> None:
    url = "--url", "https://cache.example:5000"
    assert notes(site, "docker.io", "hub.example", "index.docker.io", *url) == []
    (note,) = notes(site, "quay.io", *url)
    assert note.startswith(
        "note: quay.io is no registry of this node, which serves docker.io: it answers 404"
    )
