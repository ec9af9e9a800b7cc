"""Real clients that log in, push and pull, each in its own way, and what they said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.clients.chart_tools import tool
from tests.eventually import eventually_here

HERE: Final = Path(__file__).parent
Done = subprocess.CompletedProcess[str]


class Client:
    """`folder` is its own; `content` has what it may push. `said` is a transcript."""

    name = ""

    def __init__(self, folder: Path, content: Path, host: str) -> None:
        folder.mkdir()
        self.folder, self.content, self.host = folder, content, host
        self.logins = folder / "auth.json"
        self.said: list[str] = []
        self.environment: dict[str, str] = {"HOME": str(folder)}

    def run(self, *command: str | Path) -> Done:
        """Run it to its end, whatever that is."""
        words = list(map(str, command))
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=120, env=environment, stdin=subprocess.DEVNULL
        )
        self.said.append(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}-> {done.returncode}\n")
        return done

    def login(self, user: str, password: str) -> Done:
        raise NotImplementedError

    def push(self, repository: str) -> Done:
        raise NotImplementedError

    def pull(self, repository: str) -> Done:
        raise NotImplementedError

    def logout(self) -> None:
        self.logins.unlink(missing_ok=True)

    def demand_logins(self) -> None:
        """A file of logins, without one in it where there was none: some tools fail where the file is lacking."""
        if not self.logins.exists():
            self.logins.write_text('{"auths": {}}')

    def reference(self, repository: str) -> str:
        return f"{self.host}/{repository}:1"

    def fresh(self) -> Path:
        """An empty folder, each time the same."""
        folder = self.folder / "pulled"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


def _containers_login(client: Client, user: str, password: str) -> list[str | Path]:
    """What `login` is told by the tools of containers/image."""
    login = ["--username", user, "--password", password]
    return ["--tls-verify=false", "--authfile", client.logins, *login, client.host]


class Skopeo(Client):
    name = "skopeo"

    def login(self, user: str, password: str) -> Done:
        return self.run("skopeo", "login", *_containers_login(self, user, password))

    def push(self, repository: str) -> Done:
        to = f"docker://{self.reference(repository)}"
        return self._copy("--dest-tls-verify=false", f"oci:{self.content / 'image'}:1", to)

    def pull(self, repository: str) -> Done:
        came = f"docker://{self.reference(repository)}"
        return self._copy("--src-tls-verify=false", came, f"dir:{self.fresh()}")

    def _copy(self, *words: str) -> Done:
        self.demand_logins()
        return self.run("skopeo", "--insecure-policy", "copy", "-q", "--authfile", self.logins, *words)


class Podman(Client):
    """And buildah, whose words are the same."""

    name = "podman"

    def login(self, user: str, password: str) -> Done:
        return self._run("login", *_containers_login(self, user, password))

    def push(self, repository: str) -> Done:
        self._run("pull", "-q", f"oci:{self.content / 'image'}:1")
        image = self._run("images", "-q").stdout.split()[0]
        return self._run("push", "-q", *self._options, image, f"docker://{self.reference(repository)}")

    def pull(self, repository: str) -> Done:
        return self._run("pull", "-q", *self._options, f"docker://{self.reference(repository)}")

    @property
    def _options(self) -> list[str]:
        self.demand_logins()
        return ["--tls-verify=false", "--authfile", str(self.logins)]

    def _run(self, *words: str | Path) -> Done:
        place = ["--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "vfs"]
        return self.run(self.name, *place, *words)


class Buildah(Podman):
    name = "buildah"

    def pull(self, repository: str) -> Done:
        reference = f"docker://{self.reference(repository)}"
        return self._run("pull", "-q", "--policy", "always", *self._options, reference)


class Docker(Client):
    name = "docker"

    def __init__(self, folder: Path, content: Path, host: str) -> None:
        super().__init__(folder, content, host)
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
    """`ctr` is told the login with each command."""

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
        return self.ctr("images", "push", "--plain-http", *self.user, reference)

    def pull(self, repository: str) -> Done:
        reference = self.reference(repository)
        self.ctr("images", "rm", "--sync", reference)
        return self.ctr("images", "pull", "--snapshotter=native", "--plain-http", *self.user, reference)

    def pull_by_hosts(self, repository: str, authorization: str) -> Done:
        """Led by a hosts.toml that has the whole Authorization field."""
        folder = self.folder / "certs.d" / self.host
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts.toml").write_text(
            f'[host."http://{self.host}"]\n  [host."http://{self.host}".header]\n'
            f'    Authorization = ["{authorization}"]\n'
        )
        reference = self.reference(repository)
        self.ctr("images", "rm", "--sync", reference)
        options = ["--snapshotter=native", "--hosts-dir", str(self.folder / "certs.d")]
        done = self.ctr("images", "pull", *options, reference)
        (folder / "hosts.toml").write_text(f'[host."http://{self.host}"]\n')
        return done

    def pull_as_kubelet(self, repository: str, *login: str) -> Done:
        """By the CRI image service, which is told the login."""
        script = HERE / "cri_pull.py"
        return self.run(sys.executable, script, self.socket, self.reference(repository), *login)


class Helm(Client):
    """Its thing is a chart `app`; so is the last part of every repository here."""

    name = "helm"

    def login(self, user: str, password: str) -> Done:
        options = ["--plain-http", "--username", user, "--password", password]
        return self._run("registry", "login", *options, self.host)

    def push(self, repository: str) -> Done:
        self._run("package", self.content / "chart", "-d", self.folder)
        return self._run("push", "--plain-http", self.folder / "app-1.0.0.tgz", self._folder_of(repository))

    def pull(self, repository: str) -> Done:
        chart = f"{self._folder_of(repository)}/app"
        return self._run("pull", "--plain-http", chart, "--version", "1.0.0", "-d", self.fresh())

    def _folder_of(self, repository: str) -> str:
        return f"oci://{self.host}/{repository.removesuffix('/app')}"

    def _run(self, *words: str | Path) -> Done:
        helm = tool("helm")
        assert helm is not None, "installed by the fixture"
        caches = ["--content-cache", self.folder / "cache"]
        return self.run(helm, *words, "--registry-config", self.logins, *caches)


class Oras(Client):
    """The Python client of ORAS. It looks at a login first where it is used, and tries a refused one for minutes."""

    name = "oras"

    def login(self, user: str, password: str) -> Done:
        return self._run("pull", self.reference("seed/app"), self.fresh(), user, password, self.host)

    def push(self, repository: str) -> Done:
        return self._run("push", self.reference(repository), self.content / "file")

    def pull(self, repository: str) -> Done:
        return self._run("pull", self.reference(repository), self.fresh())

    def run(self, *command: str | Path) -> Done:
        """To its end, or until it would try again what was refused."""
        words, said = list(map(str, command)), []
        with subprocess.Popen(words, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None, "as asked"
            for line in process.stdout:
                said.append(line)
                if "Retrying in" in line:
                    process.kill()
        done = Done(words, process.returncode, "".join(said), "")
        self.said.append(f"$ {' '.join(words)}\n{done.stdout}-> {done.returncode}\n")
        return done

    def _run(self, *words: str | Path) -> Done:
        self.demand_logins()
        return self.run(sys.executable, HERE / "oras_client.py", self.logins, *words)


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
