"""The options of a search, group by group: a dataclass of fields each, which SearchConfig puts together."""

from amended_darts.settings.alpha import AlphaOptions as AlphaOptions
from amended_darts.settings.data import DataOptions as DataOptions
from amended_darts.settings.data import ImageOptions as ImageOptions
from amended_darts.settings.estimator import EstimatorOptions as EstimatorOptions
from amended_darts.settings.network import NetworkOptions as NetworkOptions
from amended_darts.settings.run import ResumeOptions as ResumeOptions
from amended_darts.settings.run import RunOptions as RunOptions
from amended_darts.settings.space import SpaceOptions as SpaceOptions
from amended_darts.settings.speed import SpeedOptions as SpeedOptions
from amended_darts.settings.warning import WarningOptions as WarningOptions
from amended_darts.settings.weights import WeightOptions as WeightOptions
