"""When the stopping rules fire, on lines of metrics.jsonl."""

from __future__ import annotations

import pytest
from amended_darts import InputError, SearchConfig
from amended_darts.early_warning import EigenvalueRule, SkipRule, parse_rules


def lines(values):
    return [{"epoch": epoch, "alpha_eigenvalue": value} for epoch, value in enumerate(values, 1)]


def first_stop(rule, history):
    """The epoch at which the rule ends a search, and its verdict."""
    for count in range(1, len(history) + 1):
        verdict = rule(history[:count])
        if verdict is not None:
            return count, verdict
    return None


def test_robust_darts_rule():
    """Windows of 5 epochs, compared 4 apart, ratio above 1.3, and the epoch 4 before counts."""
    steady = [1.0] * 30
    assert first_stop(EigenvalueRule(), lines(steady)) is None
    # After n epochs of growth by half the mean over 5 is 1 + n/10: above 1.3 for the first time at n = 4.
    grown = [1.0] * 12 + [1.5] * 10
    epoch, verdict = first_stop(EigenvalueRule(), lines(grown))
    assert (epoch, verdict.epoch) == (16, 12)
    assert "grew 1.40-fold within 4 epochs" in verdict.reason
    assert first_stop(EigenvalueRule(ratio=1.6), lines(grown)) is None


def test_the_eigenvalue_rule_needs_nine_epochs_of_positive_values():
    growing = [2.0**epoch for epoch in range(12)]
    assert first_stop(EigenvalueRule(), lines(growing))[0] == 9
    assert first_stop(EigenvalueRule(), lines([None, *growing]))[0] == 10
    assert first_stop(EigenvalueRule(), lines([-value for value in growing])) is None


def test_skip_rule():
    rule = SkipRule(2)
    assert rule([{"skips": {"normal": 1}}]) is None
    assert rule([{"skips": {}}]) is None
    assert rule([{"skips": {"normal": 2}}]).reason == "the normal cell keeps 2 skip connections (--stop skips=2)"
    verdict = rule([{"skips": {"cell 0": 0, "cell 3": 4}}])
    assert verdict.reason == "the cell 3 keeps 4 skip connections (--stop skips=2)"
    assert verdict.epoch is None


def test_rules_by_name():
    assert parse_rules("skips=2") == [SkipRule(2)]
    assert parse_rules("eigenvalue, skips=3") == [EigenvalueRule(1.3), SkipRule(3)]
    assert parse_rules("eigenvalue=1.5") == [EigenvalueRule(1.5)]


@pytest.mark.parametrize(
    "text",
    ["", "skips", "skips=", "skips=0", "skips=two", "skips=2,skips=3", "eigenvalue=", "eigenvalue=1", "eigenvalue=nan",
     "eigenvalue=inf", "entropy=2", "skips=2;eigenvalue", "skips=2,"],
)  # fmt: skip
def test_other_rules_are_refused(text):
    with pytest.raises(InputError, match="--stop: expected skips=N, eigenvalue or eigenvalue=RATIO, or both"):
        SearchConfig(stop=text).resolved()
