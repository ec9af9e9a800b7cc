"""`registry-mesh` as processes of their own, forked from one that has imported it.

To start Python and to import the program costs more than most tests that want a node; so that is done once for each
process of pytest, in a server that does nothing else (multiprocessing's forkserver). What is forked runs `main` with
the words, the environment and the outputs that a shell would give it. It dies with the server, which ends with pytest.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import multiprocessing
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final, NoReturn

import registry_mesh
from registry_mesh.stores.bucket.settings import S3Credentials, S3Settings

_PR_SET_PDEATHSIG: Final = 1


class Program:
    """One run of the program, as `subprocess.Popen` shows it: `pid`, which leads its process group, and its end."""

    def __init__(self, words: tuple[str, ...], out: Path, err: Path, env: Mapping[str, str]) -> None:
        self.words = words
        self._process = _server().Process(target=_live, args=(words, out, err, dict(env)), daemon=True)
        self._process.start()
        assert self._process.pid is not None, "it was started"
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        if (code := self.returncode) is None:
            raise subprocess.TimeoutExpired(self.words, timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended: the server knows, and is about to tell
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(*words: str | Path, log: Path, **environment: str) -> Program:
    """Begin `registry-mesh` with `words`; both its outputs are added to `log`."""
    return Program(tuple(map(str, words)), log, log, {**os.environ, **environment})


def run(*words: str | Path, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
    """`registry-mesh` with `words`, to its end. `subprocess.TimeoutExpired`, and then it is killed."""
    with tempfile.TemporaryDirectory() as made:
        out, err = Path(made) / "out", Path(made) / "err"
        program = Program(tuple(map(str, words)), out, err, {**os.environ, **environment})
        try:
            code = program.wait(timeout)
        finally:
            program.kill()
        return subprocess.CompletedProcess(program.words, code, out.read_text(), err.read_text())


def _server() -> ForkServerContext:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["tests.clients.imported"])
    return server


def import_all() -> None:
    """Import every module of the program, have boto3 read its models, and keep what is there from being looked at (and
    copied) in each fork."""
    for module in pkgutil.walk_packages(registry_mesh.__path__, "registry_mesh."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    from registry_mesh.stores.bucket.connect import connect

    connect(S3Settings("nowhere", region="none", credentials=S3Credentials("none", "none"))).boto.close()
    gc.freeze()


def _live(words: tuple[str, ...], out: Path, err: Path, env: Mapping[str, str]) -> NoReturn:
    """In the fork."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    for path, number in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["registry-mesh", *words]
    from registry_mesh.cli.main import main

    main(prog_name="registry-mesh")
    raise AssertionError("main ends the process")
