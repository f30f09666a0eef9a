"""What can go wrong, sorted by the exit code the command line gives it. Every message is one sentence."""

from __future__ import annotations


class AmendedDartsError(Exception):
    """Base of this package's errors; ``exit_code`` is what the command line returns for it."""

    exit_code = 1


class RunError(AmendedDartsError):
    """The run failed while it ran: a loss that is not finite, a full disk."""

    exit_code = 1


class InputError(AmendedDartsError, ValueError):
    """Wrong usage or input: names the option, argument or file, what was expected and what came."""

    exit_code = 2


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop (Ctrl-C, SIGTERM) and stopped after saving a checkpoint."""

    exit_code = 130


def one_line(message: object) -> str:
    """The message with every run of white space, line breaks included, made a single space."""
    return " ".join(str(message).split())
