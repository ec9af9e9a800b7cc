"""The console script: what a stranger sees first, and how soon."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

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


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output
    assert (
        "Exit codes:" in result.output or "Commands:" in result.output
    )  # a group: each command tells its own


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(main, ["sevre"]).exit_code == 2
