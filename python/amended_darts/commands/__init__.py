"""The commands of ``amended-darts``: one module each, listed here in the order of the help.

A command module has ``HELP`` (a line), ``add_arguments(parser)`` and ``run(options)``, which returns the exit code. One
with ``ONLY_WHAT_IS_SAID = True`` gets options without their defaults. To add a command, add its module and its name.
"""

COMMANDS = ("search", "retrain", "evaluate", "export", "draw", "report", "fidelity", "study", "benchmark", "info")
