"""What follows a search: the found network trained from scratch with a published recipe, and evaluated."""

from amended_darts.retraining.config import RetrainConfig as RetrainConfig
