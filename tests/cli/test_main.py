"""The console script: what a stranger sees first, and how soon."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from registry_mesh import __version__
from registry_mesh.cli.main import COMMANDS, main

_LATE = (
    "aiohttp",
    "boto3",
    "botocore",
    "pydantic",
    "rich",
    "yaml",
    "cryptography",
    "opentelemetry",
    "sigstore",
    "asyncio",
)


def test_help_names_every_command_and_the_exit_codes() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"  {command} " in result.output
    for word in ("Exit codes:", "78", "registry-mesh demo"):
        assert word in result.output


def test_help_imports_nothing_heavy() -> None:
    """Time is not measured here; what takes it is."""
    script = (
        "import sys\nfrom registry_mesh.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print('LATE', [name for name in {_LATE!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LATE []"


def test_a_site_has_no_library_in_memory_that_it_does_not_use(tmp_path: Path) -> None:
    """Each of its processes would have a copy: 10 MB of cryptography where no key is configured, for one."""
    config = tmp_path / "site.yaml"
    config.write_text(
        f"role: site\nstore: {{disk: {{path: {tmp_path}/store}}}}\n"
        "registries: {r.example: {parents: [['http://127.0.0.1:9']]}}\n"
    )
    unused = ("cryptography", "bcrypt", "jwt", "opentelemetry", "boto3", "botocore", "rich", "sigstore")
    script = (
        "import sys\nfrom pathlib import Path\nfrom registry_mesh.cli import serve\n"
        "from registry_mesh.assembly.node import service\n"
        f"serve.load(Path({str(config)!r})).fit()\n"
        f"print('LATE', [name for name in {unused!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LATE []"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output
    assert (
        "Exit codes:" in result.output or "Commands:" in result.output
    )  # a group: each command tells its own


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    """All commands, those of groups too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        elif command is not None:
            yield " ".join((*names, name)), command


def test_every_option_says_what_it_is_for_and_examples_are_counted() -> None:
    every = dict(commands(main))
    assert {"serve", "rules lint", "robot create"} <= set(every)
    silent = [
        f"{name} {option.opts[0]}"
        for name, command in every.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []
    for name, command in every.items():
        shown = re.search(r"Example(s?):\n((?: +registry-mesh .*\n?)+)", command.help or "")
        if shown is not None:
            assert bool(shown[1]) == (len(shown[2].splitlines()) > 1), name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sevre"], "did you mean serve?"),
        (["start"], "did you mean serve?"),
        (["Serve"], "did you mean serve?"),
        (["check_config"], "did you mean check-config?"),
        (["lint"], "did you mean rules lint?"),
        (["plan"], "did you mean rules plan?"),
        (["history"], "did you mean tags history?"),
        (["Undo"], "did you mean rules undo or tags undo?"),
        (["help", "approve"], "did you mean rules approve?"),
        (["list"], "did you mean ls?"),
        (["tags", "histroy"], "did you mean history?"),
        (["xyzzy"], "there are serve,"),
        (["help", "sevre"], "did you mean serve?"),
    ],
)
def test_an_unknown_command_is_told_which_is_meant(words: list[str], said: str) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_help_and_version_are_words_too() -> None:
    helped = CliRunner().invoke(main, ["help", "tags", "history"])
    assert (helped.exit_code, helped.stdout) == (
        0,
        CliRunner()
        .invoke(main, ["tags", "history", "--help"], prog_name="registry-mesh")
        .stdout.replace("Usage: registry-mesh", "Usage: main"),
    )
    told = CliRunner().invoke(main, ["version"])
    assert told.stdout.startswith(f"registry-mesh {__version__}, Python ")


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete"), ("zsh", "#compdef"), ("fish", "complete")])
def test_shells_can_complete(shell: str, word: str) -> None:
    script = CliRunner().invoke(main, ["completion", shell])
    assert script.exit_code == 0
    assert word in script.stdout
    assert "registry-mesh" in script.stdout


def test_what_completion_gives_works_in_bash() -> None:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = (
        'eval "$(registry-mesh completion bash)"; COMP_WORDS=(registry-mesh che); COMP_CWORD=1; '
        '_registry_mesh_completion registry-mesh; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env=env, timeout=60
    )
    assert done.stdout.split() == ["check-config"]


def test_the_manual_page_has_every_command_and_is_roff() -> None:
    page = CliRunner().invoke(main, ["man"])
    assert page.exit_code == 0
    for command in COMMANDS:
        assert f'.SS "{command}'.replace("-", "\\-") in page.stdout
    odd = [line for line in page.stdout.splitlines() if line.startswith(("'", "\\b"))]
    assert odd == []
