"""Runs as one HTML page that stands alone: no script, nothing loaded from elsewhere."""

from amended_darts.report.page import render as render
from amended_darts.report.runs import Run as Run
from amended_darts.report.runs import read_runs as read_runs
