"""The Python face of the compiled library: operators, their plain-PyTorch twins, and modules that own the weights."""

from . import reference
from .candidates import CANDIDATES, DARTS
from .modules import Branch, MixedEdges, MixedOp

__all__ = ["CANDIDATES", "DARTS", "Branch", "MixedEdges", "MixedOp", "reference"]
