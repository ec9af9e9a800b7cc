"""The console script. Every command lives in a file of its own, imported when it is called."""

from __future__ import annotations

import importlib
from typing import Any, Final

import click

from registry_mesh.cli.node.marks import choose_colour
from registry_mesh.cli.output import give_up, is_unwritable, open_all
from registry_mesh.cli.suggesting import Suggesting

COMMANDS: Final = {
    "serve": "Serve an origin, a replica or a site.",
    "status": "Show how a node does: its last day, its registries, what was refused.",
    "top": "Show what moves at a node, each second.",
    "doctor": "Say what a node needs a person for, and what to do next.",
    "probe": "Try every parent and the bucket step by step.",
    "parents": "Show how a node's parents do: state, cause, since when, next try.",
    "replicate": "Bring to a replica what its rules select.",
    "rules": "Check rule files; say what they select.",
    "runs": "Show the last runs of a node's rules, and what failed.",
    "access": "Check policy files; say who may do what.",
    "robot": "Make, list and revoke logins for programs.",
    "tags": "Show a tag's history; bring back what was deleted or moved.",
    "ls": "List the images that a running node holds.",
    "du": "Say how much each repository takes.",
    "evict": "Have a running site forget images.",
    "pin": "Spare images from eviction.",
    "refresh": "Ask parents now what tags point at.",
    "pull-through": "Say where an image would come from, and what that costs.",
    "preload": "Bring images to a running site; return when they are here.",
    "who-pulled": "Say who pulled an image, where and when; list what nobody uses.",
    "gc": "Remove what no tag needs any more.",
    "retention": "Delete tags of an origin that its rules do not keep.",
    "quotas": "Say how much of its quota each project of an origin uses.",
    "verify": "Check every reference and every byte of a store.",
    "check-config": "Check configuration files; list every fault.",
    "client-config": "Point container clients at a site.",
    "demo": "Show a tree of three on this machine.",
    "explain": "Say what a finding or an alert means, and what to do.",
    "help": "Say what a command does.",
    "version": "Say which version this is.",
    "completion": "Print what makes a shell complete commands.",
    "man": "Print the manual page.",
}

ROOMS: Final = {
    "node": {"status", "top", "doctor", "probe", "parents", "ls", "du", "evict", "pin", "refresh"}
    | {"pull-through", "preload", "who-pulled"},
    "rules": {"rules", "replicate", "runs", "retention"},
    "store": {"tags", "gc", "quotas", "verify"},
}
"""Where the files of commands lie that are not beside this one."""

EXIT_INTERRUPTED: Final = 130

EPILOG: Final = """\b
Exit codes:
  0   it worked
  1   it failed
  2   the command line or a file is wrong
  3   no node answers
  4   the node wants a login
  78  serve: the configuration is invalid (not worth a restart)
  130 interrupted

\b
A first tree, all on this machine:
  registry-mesh demo

\b
The options above a command are for those that ask a running node (status, doctor, ls, preload, who-pulled …):
  registry-mesh --admin https://site:5001 --cert me.pem --key me.key --ca ca.pem status site.yaml
They take --node NAME (/etc/registry-mesh/NAME.yaml) or --node URL (of its admin listener) for CONFIG, without both
$REGISTRY_MESH_NODE, else the only file of /etc/registry-mesh:
  registry-mesh status --node site

\b
A node of your own:
  registry-mesh check-config site.yaml
  registry-mesh serve site.yaml
  registry-mesh client-config containerd --help
"""


def _module_of(command: str) -> str:
    """The module that defines `command`."""
    room = next((f"{room}." for room, commands in ROOMS.items() if command in commands), "")
    return f"registry_mesh.cli.{room}{command.replace('-', '_')}"


class _Commands(Suggesting):
    """Knows the commands by name; imports one when it is asked for, so that --help stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(_module_of(cmd_name))
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:  # Any: as click has it
        """Do what was asked for; ^C ends it with the exit code that a shell gives to it. Where standard output takes no
        more, it says so."""
        open_all()
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except OSError as fault:
            if not is_unwritable(fault):
                raise
            give_up()
            click.echo(f"error: what is printed cannot be written: {fault.strerror}", err=True)
            ctx.exit(1)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="registry-mesh")
@click.option(
    "--admin", metavar="URL", help="Ask the node there, https://HOST:PORT, not at its admin.address."
)
@click.option(
    "--cert", metavar="FILE", help="PEM file of a certificate that is shown to the node (admin.tls.clients)."
)
@click.option(
    "--key", metavar="FILE", help="PEM file of its private key; absent: it is in the file of --cert."
)
@click.option("--ca", metavar="FILE", help="PEM file of authorities that made the node's certificate.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    metavar="WHEN",
    callback=choose_colour,
    expose_value=False,
    help="Marks in colour: auto (on a terminal, without NO_COLOR), always or never.",
)
def main(admin: str | None, cert: str | None, key: str | None, ca: str | None) -> None:
    """A tree of container registries: an origin, replicas of it, and caches at sites.

    Every node is one `serve` with one YAML file.
    """
