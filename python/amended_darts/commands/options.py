"""Dataclass fields as command line options, and how their help reads."""

from __future__ import annotations

import textwrap
from dataclasses import fields
from typing import Any, TypeVar

from jsonargparse import ActionYesNo, DefaultHelpFormatter

from amended_darts.options import field_types, flag

Config = TypeVar("Config")

_METAVARS = {int: "N", float: "X", str: "NAME"}


class Help(DefaultHelpFormatter):
    """Help texts as they are written, without the parser's own words for types and defaults; a usage of one line."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, **{"max_help_position": 30, **settings})

    def _get_help_string(self, action: Any) -> str:
        if "(default: " in (action.help or ""):
            return action.help or ""
        return super()._get_help_string(action)

    def _split_lines(self, text: str, width: int) -> list[str]:
        # Words such as re-training stay whole, so that they can be searched for.
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _format_usage(self, usage: str | None, actions: Any, *arguments: Any, **settings: Any) -> str:
        actions = list(actions)
        if usage is None and len(actions) > 12:
            usage = self._prog.replace(" [options]", "") + " [options]"
        return super()._format_usage(usage, actions, *arguments, **settings)


def add_options(parser: Any, kind: type[Any], groups: dict[str, str] | None = None) -> None:
    """An option for every field of a dataclass of options.

    Args:
        groups: titles of the groups that the fields name; without, they stand in no group.
    """
    titled = {name: parser.add_argument_group(title) for name, title in (groups or {}).items()}
    for entry in fields(kind):
        add_option(titled[entry.metadata["group"]] if groups else parser, entry)


def read_options(kind: type[Config], options: Any) -> Config:
    """The dataclass of what was parsed."""
    described: Any = kind
    return kind(**{entry.name: getattr(options, entry.name) for entry in fields(described)})


def add_option(group: Any, entry: Any) -> None:
    """The option of one field: its type and default, and the help, unit and choices of its metadata."""
    facts = entry.metadata
    text = facts["help"] + (f" [{facts['unit']}]" if facts["unit"] else "")
    kinds = field_types(entry.type)
    if kinds == (bool,):
        action = ActionYesNo(yes_prefix="", no_prefix="no-")
        text += f" (default: {'yes' if entry.default else 'no'})"
        group.add_argument(flag(entry.name), action=action, default=entry.default, help=text)
        return
    kind: Any = kinds[0]
    metavar = facts["metavar"] or _METAVARS[kind]
    text += f" (default: {facts['unset'] if entry.default is None else entry.default})"
    if len(kinds) == 2:
        kind = kind | None
    group.add_argument(flag(entry.name), type=kind, default=entry.default, help=text, metavar=metavar)
