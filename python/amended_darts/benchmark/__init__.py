"""How much memory a search takes: measured where the machine can, otherwise predicted from shapes alone."""

from __future__ import annotations
