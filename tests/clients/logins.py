"""Real clients that log in, push and pull, each in its own way, and what they said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.clients.chart_tools import tool

HERE: Final = Path(__file__).parent
Done = subprocess.CompletedProcess[str]


class Client:
    """`folder` is its own; `content` has what it may push. `said` is a transcript.

    `certificates`: a folder with `ca.crt`, whose registries are believed, and maybe `client.cert` and `client.key`,
    which are shown to them. None: HTTP."""

    name = ""

    def __init__(self, folder: Path, content: Path, host: str, certificates: Path | None = None) -> None:
        folder.mkdir()
        self.folder, self.content, self.host, self.certificates = folder, content, host, certificates
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

    @property
    def certified(self) -> bool:
        """Whether it shows a certificate."""
        return self.certificates is not None and (self.certificates / "client.cert").exists()

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
    return [_containers_tls(client), "--authfile", client.logins, *login, client.host]


def _containers_tls(client: Client, side: str = "") -> str:
    """Their option that says how the registry is reached. `side`: `src-` or `dest-` of a copy."""
    there = client.certificates
    return f"--{side}tls-verify=false" if there is None else f"--{side}cert-dir={there}"


class Skopeo(Client):
    name = "skopeo"

    def login(self, user: str, password: str) -> Done:
        return self.run("skopeo", "login", *_containers_login(self, user, password))

    def push(self, repository: str) -> Done:
        to = f"docker://{self.reference(repository)}"
        return self._copy(_containers_tls(self, "dest-"), f"oci:{self.content / 'image'}:1", to)

    def pull(self, repository: str) -> Done:
        came = f"docker://{self.reference(repository)}"
        return self._copy(_containers_tls(self, "src-"), came, f"dir:{self.fresh()}")

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
        return [_containers_tls(self), "--authfile", str(self.logins)]

    def _run(self, *words: str | Path) -> Done:
        place = ["--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "vfs"]
        return self.run(self.name, *place, *words)


class Buildah(Podman):
    name = "buildah"

    def pull(self, repository: str) -> Done:
        reference = f"docker://{self.reference(repository)}"
        return self._run("pull", "-q", "--policy", "always", *self._options, reference)


class Helm(Client):
    """Its thing is a chart `app`; so is the last part of every repository here."""

    name = "helm"

    def login(self, user: str, password: str) -> Done:
        login = ["--username", user, "--password", password]
        return self._run("registry", "login", *self._tls, *login, self.host)

    def push(self, repository: str) -> Done:
        self._run("package", self.content / "chart", "-d", self.folder)
        return self._run("push", *self._tls, self.folder / "app-1.0.0.tgz", self._folder_of(repository))

    def pull(self, repository: str) -> Done:
        chart = f"{self._folder_of(repository)}/app"
        return self._run("pull", *self._tls, chart, "--version", "1.0.0", "-d", self.fresh())

    @property
    def _tls(self) -> list[str]:
        there = self.certificates
        if there is None:
            return ["--plain-http"]
        own = [f"--cert-file={there / 'client.cert'}", f"--key-file={there / 'client.key'}"]
        return [f"--ca-file={there / 'ca.crt'}", *(own if self.certified else [])]

    def _folder_of(self, repository: str) -> str:
        return f"oci://{self.host}/{repository.removesuffix('/app')}"

    def _run(self, *words: str | Path) -> Done:
        helm = tool("helm")
        assert helm is not None, "installed by the fixture"
        caches = ["--content-cache", self.folder / "cache"]
        return self.run(helm, *words, "--registry-config", self.logins, *caches)


class Oras(Client):
    """The Python client of ORAS. It looks at a login first where it is used, tries a refused one for minutes, and
    shows no certificate."""

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
        believed = {} if self.certificates is None else {"ORAS_CA": str(self.certificates / "ca.crt")}
        with subprocess.Popen(
            words, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, env={**os.environ, **believed}
        ) as process:
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
