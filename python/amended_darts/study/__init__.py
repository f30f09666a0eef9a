"""The stability study: the same search many times, with every estimator, size of its term and seed, and what came out.

``amended-darts study`` runs it; ``docs/results.md`` shows what came out.
"""

from amended_darts.study.config import StudyConfig as StudyConfig
from amended_darts.study.study import run_study as run_study
from amended_darts.study.table import tables as tables
