"""Signs that a search is collapsing, written into its metrics, and rules that end it on them."""

from amended_darts.early_warning.rules import EigenvalueRule as EigenvalueRule
from amended_darts.early_warning.rules import SkipRule as SkipRule
from amended_darts.early_warning.rules import Verdict as Verdict
from amended_darts.early_warning.rules import parse_rules as parse_rules
