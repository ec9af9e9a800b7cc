"""A site whose parent goes and comes: page, command, log and refusal say the same, and it ends by itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.clients import nodes, programs
from tests.eventually import eventually_here


def got(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def doctor(node: nodes.Node, *more: str) -> subprocess.CompletedProcess[str]:
    return programs.run("doctor", node.config, *more)


def promtool(metrics: bytes) -> str:
    """What promtool has to say of them; nothing where it is not here."""
    program = shutil.which("promtool")
    if program is None:
        return ""
    done = subprocess.run([program, "check", "metrics"], input=metrics, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()


def refused(node: nodes.Node, path: str) -> dict[str, Any]:
    try:
        urllib.request.urlopen(node.url + path, timeout=20)
    except urllib.error.HTTPError as refusal:
        told: dict[str, Any] = json.load(refusal)["errors"][0]
        return told
    raise AssertionError("nothing was refused")


def said_of(node: nodes.Node, name: str) -> dict[str, Any]:
    """The finding of that name, once it is there."""

    def found() -> list[dict[str, Any]]:
        return [each for each in got(f"{node.admin}/status")["findings"] if each["name"] == name]

    eventually_here(found, name)
    return found()[0]


def whole_lines(file: Path) -> list[str]:
    """Without one that is being written."""
    return [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def is_told_by_status(node: nodes.Node) -> bool:
    """Whether the command says the page's verdict: a finding may begin between the two."""
    shown = programs.run("status", node.config).stdout
    return shown.startswith(f"■ {got(f'{node.admin}/api/1/findings')['verdict']}  ")


def test_a_parent_that_is_gone_is_said_everywhere_in_one_sentence(tmp_path: Path) -> None:
    origin = nodes.origin(tmp_path / "origin")
    origin.start()
    access = tmp_path / "access.log"
    try:
        again = f"http://localhost:{origin.port}"  # as if it were at another host
        with nodes.site(tmp_path / "site", origin.url, again, log={"access": str(access)}) as site:
            eventually_here(lambda: bool(got(f"{site.admin}/api/1/findings")), "an answer")
            assert doctor(site).returncode == 0
            origin.kill()

            def offline() -> bool:
                refused(site, f"/v2/a/b/manifests/x?ns={nodes.REGISTRY}")
                return any(f["name"] == "offline" for f in got(f"{site.admin}/api/1/findings")["findings"])

            eventually_here(offline, "the finding")
            found = said_of(site, "offline")
            assert found["state"] == "broken"
            assert "None of 2 parents answers" in said_of(site, "own-link-down")["sentence"]
            said = f"No parent of {nodes.REGISTRY} answers: offline since "
            assert found["sentence"].startswith(said) and "; what is held goes on" in found["sentence"]
            outage = got(f"{site.admin}/status")["registries"][nodes.REGISTRY]["outage"]
            assert outage["parents"] == "silent"
            assert outage["since_seconds"] + outage["tags_for_seconds"] == pytest.approx(30 * 86400, abs=60)
            listed = programs.run("parents", site.config)
            assert listed.returncode == 1
            assert f"■ {nodes.REGISTRY}: offline since " in listed.stdout
            assert "; what is held goes on, tags for 30 d more." in listed.stdout

            def told() -> bool:
                detail = refused(site, f"/v2/a/b/manifests/x?ns={nodes.REGISTRY}")["detail"]
                return str(detail.get("finding", {}).get("sentence")).startswith(said)

            eventually_here(told, "clients to be told")
            shown = doctor(site)
            assert shown.returncode == 1
            assert said in " ".join(shown.stdout.split())
            checked = doctor(site, "--check")
            assert checked.returncode == 2
            assert checked.stdout.startswith("CRITICAL: ")
            eventually_here(lambda: said in site.log.read_text(), "a line")
            with urllib.request.urlopen(f"{site.admin}/metrics", timeout=60) as answer:
                metrics = answer.read()
                assert b'registry_mesh_finding{finding="offline",state="broken"} 1.0' in metrics
                assert b"registry_mesh_parent_state{" in metrics
                for name in (
                    b"store_free_bytes",
                    b"open_files",
                    b"resident_memory_bytes",
                    b"cpu_seconds_total",
                ):
                    assert float(metrics.partition(b"\nregistry_mesh_" + name + b" ")[2].split()[0]) > 0
                assert b'method="PATCH"' not in metrics, "what was never used has no series"
                assert promtool(metrics) == ""
            eventually_here(lambda: '"reason":' in access.read_text(), "the access log")
            line = [json.loads(each) for each in whole_lines(access) if '"reason":' in each][-1]
            assert (line["status"], line["ns"]) == (503, nodes.REGISTRY)
            events = got(f"{site.admin}/api/1/events")["events"]
            assert events[0]["subject"] == f"{nodes.REGISTRY}/a/b"
            assert events[0]["side"] == "parent"
            assert sum(each["count"] for each in events) >= 2
            eventually_here(lambda: is_told_by_status(site), "the command and the page to say the same")
            shown = programs.run("status", site.config).stdout
            assert f"{nodes.REGISTRY}/a/b: " in shown and "over the WAN" in shown
            assert f"■ {said}" in shown, "it is offline, and since when"
            assert line["reason"] in ("down", "unavailable")
            assert "refuses connections" in line["why"]
            origin.start()
            eventually_here(
                lambda: not got(f"{site.admin}/api/1/findings")["findings"],
                lambda: got(f"{site.admin}/api/1/findings")["findings"],
                200,  # that pulls fail, as it may say by now, ends two minutes after the last of them
            )
    finally:
        origin.kill()
