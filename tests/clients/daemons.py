"""Clients that are a daemon and a program that speaks to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.clients.logins import HERE, Buildah, Client, Done, Helm, Oras, Podman, Skopeo
from tests.eventually import eventually_here


class Docker(Client):
    name = "docker"

    def __init__(self, folder: Path, content: Path, host: str, certificates: Path | None = None) -> None:
        super().__init__(folder, content, host, certificates)
        self.environment |= {"DOCKER_HOST": f"unix://{folder}/d.sock", "DOCKER_CONFIG": str(folder)}
        self.logins = folder / "config.json"

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """dockerd, which starts no containers here."""
        places = ["--data-root", self.folder / "data", "--exec-root", self.folder / "exec"]
        places += ["--pidfile", self.folder / "pid", "--host", f"unix://{self.folder}/d.sock"]
        options = ["--bridge=none", "--iptables=false", "--ip-forward=false", "--storage-driver=vfs"]
        with _served(self.folder, "dockerd", *places, *options):
            eventually_here(lambda: self.run("docker", "version").returncode == 0, "dockerd", pause=0.2)
            self.said.clear()
            yield

    def login(self, user: str, password: str) -> Done:
        return self.run("docker", "login", "--username", user, "--password", password, self.host)

    def push(self, repository: str) -> Done:
        reference = self.reference(repository)
        self.run("docker", "load", "-q", "-i", self.content / "image.tar")
        self.run("docker", "tag", "made:1", reference)
        return self.run("docker", "push", "-q", reference)

    def pull(self, repository: str) -> Done:
        reference = self.reference(repository)
        self.run("docker", "rmi", "-f", reference, "made:1")
        return self.run("docker", "pull", "-q", reference)


class Containerd(Client):
    """`ctr` is told the login with each command, and a hosts.toml where the registry is and what is shown to it."""

    name = "containerd"
    user: tuple[str, ...] = ()

    @property
    def socket(self) -> Path:
        return self.folder / "c.sock"

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """containerd with its CRI image service."""
        (self.folder / "containerd.toml").write_text(
            f'version = 2\nroot = "{self.folder}/root"\nstate = "{self.folder}/state"\n'
            f'[grpc]\naddress = "{self.socket}"\n[ttrpc]\naddress = "{self.folder}/t.sock"\n'
            '[plugins."io.containerd.grpc.v1.cri".containerd]\nsnapshotter = "native"\n'
            f'[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "{self.folder}/certs.d"\n'
        )
        with _served(self.folder, "containerd", "--config", self.folder / "containerd.toml"):
            eventually_here(lambda: self.ctr("version").returncode == 0, "containerd", pause=0.2)
            self._lead()
            self.said.clear()
            yield

    def ctr(self, *words: str | Path) -> Done:
        return self.run("ctr", "--address", self.socket, *words)

    def login(self, user: str, password: str) -> Done:
        self.user = ("--user", f"{user}:{password}")
        return self.pull("seed/app")

    def logout(self) -> None:
        self.user = ()

    def push(self, repository: str) -> Done:
        self.ctr("images", "import", "--base-name", "made", self.content / "image.tar")
        reference = self.reference(repository)
        names = self.ctr("images", "ls", "-q").stdout.split()
        self.ctr("images", "tag", "--force", next(name for name in names if "made" in name), reference)
        return self.ctr("images", "push", *self._way, *self.user, reference)

    def pull(self, repository: str) -> Done:
        reference = self.reference(repository)
        self.ctr("images", "rm", "--sync", reference)
        return self.ctr("images", "pull", "--snapshotter=native", *self._way, *self.user, reference)

    def pull_by_hosts(self, repository: str, authorization: str) -> Done:
        """Led by a hosts.toml that has the whole Authorization field."""
        self._lead(f'  [host."{self._url}".header]\n    Authorization = ["{authorization}"]\n')
        done = self.pull(repository)
        self._lead()
        return done

    @property
    def _way(self) -> list[str]:
        return ["--hosts-dir", str(self.folder / "certs.d")]

    @property
    def _url(self) -> str:
        return f"http{'s' if self.certificates else ''}://{self.host}"

    def _lead(self, fields: str = "") -> None:
        """Write the hosts.toml, which the CRI image service reads too."""
        folder, there = self.folder / "certs.d" / self.host, self.certificates
        folder.mkdir(parents=True, exist_ok=True)
        ca = f'  ca = "{there}/ca.crt"\n' if there else ""
        own = f'  client = [["{there}/client.cert", "{there}/client.key"]]\n' if self.certified else ""
        (folder / "hosts.toml").write_text(f'[host."{self._url}"]\n{ca}{own}{fields}')

    def pull_as_kubelet(self, repository: str, *login: str) -> Done:
        """By the CRI image service, which is told the login."""
        script = HERE / "cri_pull.py"
        return self.run(sys.executable, script, self.socket, self.reference(repository), *login)


CLIENTS: Final[tuple[type[Client], ...]] = (Skopeo, Podman, Buildah, Docker, Containerd, Helm, Oras)


@contextmanager
def _served(folder: Path, *command: str | Path) -> Iterator[None]:
    """A daemon, ended at the end with what it started."""
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
