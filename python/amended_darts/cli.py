"""The command line ``amended-darts``: parses, dispatches, and turns every expected failure into one line and a code.

Exit codes: 0 done; 1 the run failed; 2 wrong usage or input; 130 interrupted after saving a checkpoint.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from amended_darts.commands import COMMANDS
from amended_darts.errors import AmendedDartsError, InputError, Interrupted, one_line
from amended_darts.extras import require


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    try:
        return _run(sys.argv[1:] if arguments is None else list(arguments))
    except AmendedDartsError as error:
        return _say(error, error.exit_code)
    except Interrupted as stopped:
        return _say(stopped, stopped.exit_code)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except ImportError as error:  # the compiled library is missing or does not fit the installed torch
        return _say(error, 1)
    except BrokenPipeError:  # the reader of our output left, as head does
        sys.stderr.close()
        return 1


def _run(arguments: list[str]) -> int:
    require("jsonargparse", "the command line")
    from jsonargparse import ArgumentError

    parser, commands = build_parser()
    try:
        options = parser.parse_args(arguments)
        name = options.command
        if getattr(commands[name], "ONLY_WHAT_IS_SAID", False):
            options = parser.parse_args(arguments, defaults=False)
    except ArgumentError as error:
        raise InputError(_usage_error(str(error))) from None
    status: int = commands[name].run(options[name])
    return status


def build_parser() -> tuple[Any, dict[str, ModuleType]]:
    """The parser of all commands, and the commands' modules by name."""
    from jsonargparse import ArgumentParser

    import amended_darts
    from amended_darts.commands.options import Help

    parser = ArgumentParser(
        prog="amended-darts",
        description="Architecture search with the amended architectural gradient (arXiv 1910.11831).",
        version=amended_darts.__version__,
        exit_on_error=False,
        allow_abbrev=False,
        formatter_class=Help,
    )
    subcommands = parser.add_subcommands(dest="command")
    modules = {name: importlib.import_module(f"amended_darts.commands.{name}") for name in COMMANDS}
    for name, module in modules.items():
        subparser = ArgumentParser(description=module.HELP, exit_on_error=False, allow_abbrev=False)
        module.add_arguments(subparser)
        subcommands.add_subcommand(name, subparser, help=module.HELP)
    return parser, modules


def _say(message: object, code: int) -> int:
    rank = os.environ.get("RANK", "0")  # torchrun's number of this process
    name = "amended-darts" if rank == "0" else f"amended-darts, process {rank}"
    print(f"{name}: {one_line(message)}", file=sys.stderr)
    return code


def _usage_error(message: str) -> str:
    """The parser's message with the option named as it is typed, in this project's wording."""
    message = re.sub(r'^Parser key "([\w.]+)":', lambda key: f"--{key[1].replace('_', '-')}:", message)
    message = re.sub(r"Expected an? <class '(\w+)'>\. Got value: ", r"expected \1, got ", message)
    optional = r"Does not validate against any of the Union subtypes.*?<class '(\w+)'>.*Given value: "
    message = re.sub(optional, r"expected \1, got ", message, flags=re.DOTALL)
    message = re.sub(r"^Subcommand '(\w+)' does not accept option ", r"\1 has no option ", message)
    message = message.rstrip(". ")
    return message[:1].lower() + message[1:]
