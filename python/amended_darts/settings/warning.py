"""Signs of a collapse that are measured, and rules that end a search on them."""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.early_warning.rules import EXPECTED, is_rules
from amended_darts.options import at_least, option


@dataclass(frozen=True)
class WarningOptions:
    """Signs of a collapse that are measured, and rules that end a search on them."""

    eigenvalue: bool = option(
        False, "measure after every epoch how sharply the loss bends along α: alpha_eigenvalue", group="warning"
    )
    eigenvalue_images: int | None = option(
        None,
        "images of the α half that it is measured on, in whole batches",
        "images",
        "warning",
        check=at_least(2, "images"),
        unset="one batch",
    )
    eigenvalue_products: int = option(
        16,
        "most Hessian-vector products for it, of two passes each",
        "products",
        "warning",
        check=at_least(1, "product"),
    )
    stop: str | None = option(
        None,
        "end the search early: skips=N, when a normal cell keeps N skip connections; eigenvalue, when the eigenvalue "
        "grows (RobustDARTS, arXiv 1909.09656; eigenvalue=RATIO for another ratio than 1.3); both with a comma between",
        group="warning",
        metavar="RULES",
        check=(is_rules, EXPECTED),
    )
    stop_from: int = option(
        10, "epochs in which α moved before --stop may end the search", "epochs", "warning", check=at_least(1, "epoch")
    )
