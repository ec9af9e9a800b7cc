"""The image, as buildah builds it from the Containerfile, on a Debian that is made here."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

import registry_mesh
from tests.clients.chart_tools import tool
from tests.clients.images import ROOT, Builder, Container, container
from tests.clients.scripts import run
from tests.clients.wire import serves
from tests.eventually import eventually_here
from tests.simulators.ports import free_port

pytestmark = [pytest.mark.client, pytest.mark.slow, pytest.mark.timeout(1500)]
"""To make the base and to build the image have limits of their own, and take minutes where nothing is there yet."""

SITE = """role: site
listen: {{address: 127.0.0.1, port: {port}}}
admin: {{address: 127.0.0.1, port: {admin}}}
store: {{disk: {{path: /var/lib/registry-mesh/store}}}}
workers: 1
registries: {{registry.example: {{default: true, parents: [["http://127.0.0.1:1"]]}}}}
"""


@pytest.fixture(scope="module")
def built(clients: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    builder = Builder(tmp_path_factory.mktemp("image"))
    builder.build()
    yield builder
    builder.forget()


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def inside(built: Builder, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    config = tmp_path_factory.mktemp("config") / "site.yaml"
    config.write_text(SITE.format(port=port, admin=free_port()))
    config.chmod(0o644)
    with container(built, f"{config}:/etc/registry-mesh.yaml:ro") as made:
        yield made


def test_it_says_what_it_is(built: Builder) -> None:
    told = built.inspected
    labels = {
        name.rpartition(".")[2]: text for name, text in told["Labels"].items() if "opencontainers" in name
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert labels["version"] == registry_mesh.__version__
    assert labels["licenses"] == project["license"]
    assert labels["description"] == project["description"]
    assert labels["title"] == "registry-mesh"
    assert told["User"] == "10001"
    assert set(told["ExposedPorts"]) == {"5000/tcp", "5001/tcp"}
    assert told["StopSignal"] == "SIGTERM"


def test_it_is_small(inside: Container) -> None:
    files = (each.lstat() for each in inside.files.rglob("*"))
    sizes = {each.st_ino: each.st_size for each in files if stat.S_ISREG(each.st_mode)}
    assert 100_000_000 < sum(sizes.values()) < 250_000_000


def test_a_bucket_and_what_gives_logins_for_it_are_known(inside: Container) -> None:
    services = ("s3", "sts", "sso", "sso-oidc", "signin")
    client = "boto3.Session(region_name='x').client(name)"
    program = f"import boto3; print(*({client}.meta.endpoint_url for name in {services}))"
    told = inside.run("/opt/registry-mesh/bin/python", "-c", program).split()
    assert len(told) == len(services) and all(each.startswith("https://") for each in told)


def test_nothing_is_inside_that_builds(inside: Container) -> None:
    tools = {"pip", "pip3", "gcc", "cc", "g++", "ld", "make", "git", "uv", "hatch", "hatchling"}
    folders = ("usr/bin", "usr/sbin", "usr/local/bin", "opt/registry-mesh/bin")
    assert {name for folder in folders for name in os.listdir(inside.files / folder)} & tools == set()
    packages = inside.run("/opt/registry-mesh/bin/python", "-c", "import importlib.metadata as m; print(*("
                          "d.name for d in m.distributions()))").split()  # fmt: skip
    assert {"registry-mesh", "aiohttp", "uvloop"} <= set(packages)
    assert {"pip", "setuptools", "wheel", "hatchling", "editables", "pathspec", "trove-classifiers"} & set(
        packages
    ) == set()
    assert not list((inside.files / "usr").rglob("pip*.whl"))
    assert not (inside.files / "source").exists()


def test_a_site_serves_from_it_as_its_user_and_is_found_well(
    built: Builder, inside: Container, port: int, tmp_path: Path
) -> None:
    told = built.inspected
    kind, command = told["Healthcheck"]["Test"]
    assert kind == "CMD-SHELL"
    health = ("/bin/sh", "-c", command)
    with pytest.raises(AssertionError, match="exit 1"):
        inside.run(*health)
    served = inside.start(*told["Entrypoint"], *told["Cmd"], log=tmp_path / "log")
    try:
        eventually_here(
            lambda: serves(f"http://127.0.0.1:{port}/v2/"), lambda: (tmp_path / "log").read_text(), 60
        )
        assert f"registry-mesh {registry_mesh.__version__}" in inside.run(*told["Entrypoint"], "version")
        assert inside.run(*told["Entrypoint"], "explain", "offline").startswith("offline: broken")
        assert "serves" in inside.run(*health)
        main = _serving(tmp_path / "log")
        assert Path(f"/proc/{main}").stat().st_uid == 10001
    finally:
        _end(served, tmp_path / "log")
    assert served.returncode == 0


@pytest.mark.skipif(tool("helm") is None, reason="no helm here: make chart-tools")
def test_the_chart_s_daemonset_leads_a_machine_to_the_site_and_takes_that_back(
    built: Builder, tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("registries: {quay.io: {parents: [[https://quay.io]]}}\nnodes: {enabled: true}\n")
    chart = ROOT / "deploy" / "helm" / "registry-mesh"
    found = yaml.safe_load_all(run(str(tool("helm")), "template", "cache", chart, "-f", values))
    (pod,) = [each["spec"]["template"]["spec"] for each in found if each and each["kind"] == "DaemonSet"]
    (told,) = pod["containers"]
    words = [*told["command"], *(each.replace("$(MACHINE)", "192.0.2.7") for each in told["args"])]
    folder = tmp_path / "certs.d"
    folder.mkdir()
    written = folder / "quay.io" / "hosts.toml"
    with container(built, f"{folder}:/certs.d") as made:
        process = made.start(*words, log=tmp_path / "log", user=str(told["securityContext"]["runAsUser"]))
        try:
            eventually_here(written.exists, lambda: (tmp_path / "log").read_text(), 60)
            assert 'http://192.0.2.7:30500"' in written.read_text()
            eventually_here(lambda: {"sh", "sleep"} <= _below(process.pid).keys(), "the shell to wait")
            os.kill(_below(process.pid)["sh"], signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert not written.exists()


def _below(pid: int) -> dict[str, int]:
    """The processes below one, by their names; those that end meanwhile may be among them or not."""
    found: dict[str, int] = {}
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task").glob("*/children"):
            for each in map(int, child.read_text().split()):
                with suppress(OSError):
                    found |= {Path(f"/proc/{each}/comm").read_text().strip(): each} | _below(each)
    return found


def _serving(log: Path) -> int:
    """The process that says so first: a moment after it answers."""
    found: list[int] = []

    def says() -> list[int]:
        lines = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        found[:] = [int(told["pid"]) for told in map(json.loads, lines) if told["event"] == "serving"]
        return found

    eventually_here(says, log.read_text)
    return found[0]


def _end(process: subprocess.Popen[bytes], log: Path) -> None:
    try:
        os.kill(_serving(log), signal.SIGTERM)
        process.wait(60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
