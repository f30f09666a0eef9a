"""Derived networks: what a search found, as plain torch.nn modules that need no compiled library.

>>> from amended_darts.derived import DerivedNetwork, count_parameters
>>> from amended_darts.published import find_genotype
>>> count_parameters(DerivedNetwork(find_genotype("DARTS_V2"), classes=10))
3349342
"""

from amended_darts.derived.count import count_multiply_adds as count_multiply_adds
from amended_darts.derived.count import count_parameters as count_parameters
from amended_darts.derived.inherit import inherit_weights as inherit_weights
from amended_darts.derived.inherit import one_hot_weights as one_hot_weights
from amended_darts.derived.network import DerivedNetwork as DerivedNetwork
