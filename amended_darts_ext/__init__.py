"""The Python face of the compiled library: operators, their plain-PyTorch twins, and modules that own the weights.

Importing it registers ``torch.ops.amended_darts``. The three names of the project: the operator namespace
``amended_darts``, this package ``amended_darts_ext``, and the search package ``amended_darts``.
"""

from . import _library, _mixed_op, reference
from .candidates import CANDIDATES, DARTS
from .modules import Branch, MixedEdges, MixedOp
from .ops import mixed_edges, mixed_op, release_workspace

_library.load()
if str(_library.FOLDER) not in __path__:
    __path__.append(str(_library.FOLDER))  # _C lies beside the library
_mixed_op.register()

__all__ = [
    "CANDIDATES",
    "DARTS",
    "Branch",
    "MixedEdges",
    "MixedOp",
    "mixed_edges",
    "mixed_op",
    "reference",
    "release_workspace",
]
