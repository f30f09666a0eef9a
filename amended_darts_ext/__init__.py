"""The Python face of the compiled library: operators, their plain-PyTorch twins, and modules that own the weights.

Importing it registers ``torch.ops.amended_darts``. The three names of the project: the operator namespace
``amended_darts``, this package ``amended_darts_ext``, and the search package ``amended_darts``.
"""

from . import _library, _mixed_op, _perturbation, reference
from .candidates import CANDIDATES, DARTS
from .modules import Branch, MixedEdges, MixedOp
from .ops import mixed_edges, mixed_op, release_workspace
from .perturbation import central_difference, global_norm, perturb_, step_size

_library.load()
if str(_library.FOLDER) not in __path__:
    __path__.append(str(_library.FOLDER))  # _C lies beside the library
_mixed_op.register()
_perturbation.register()

__all__ = [
    "CANDIDATES",
    "DARTS",
    "Branch",
    "MixedEdges",
    "MixedOp",
    "central_difference",
    "global_norm",
    "mixed_edges",
    "mixed_op",
    "perturb_",
    "reference",
    "release_workspace",
    "step_size",
]
