"""The benchmark: every case in every variant, predicted and, where that is asked for and possible, measured."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from amended_darts.benchmark.cases import Case
from amended_darts.benchmark.config import MemoryConfig
from amended_darts.benchmark.measure import measure_memory, measure_seconds
from amended_darts.benchmark.names import STEPS
from amended_darts.benchmark.predict import Prediction, predict
from amended_darts.benchmark.table import describe
from amended_darts.errors import InputError, RunError
from amended_darts.files import prepare_folder, read_json, write_text
from amended_darts.memory import free_bytes, size

SHARE = 0.6
"""Of the free memory that a measured case may take by its prediction."""

Row = dict[str, Any]


def run_benchmark(config: MemoryConfig, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Runs everything and writes memory.json, memory.txt and memory.png to ``config.out``.

    What memory.json already holds of the same machine and torch is not done again.

    Args:
        say: gets a line per part as it begins.

    Returns:
        What memory.json holds: ``conditions``; ``budgets``; ``rows``, one per case and variant, with ``case``,
        ``variant``, ``predicted`` (``saved``, and ``peak`` by device and step, None for compile), ``largest`` (batch by
        budget, with the CUDA kernels), ``measured`` (``saved``, ``peak`` by step), ``seconds`` of a weight step,
        ``load`` (of the machine while it was timed) and ``note`` (why it was not measured).

    Raises:
        InputError: a setting out of range, an ``out`` that cannot be written to or holds other results, no GPU.
        RunError: a file could not be written.
    """
    config.check()
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: expected a GPU that PyTorch can use, got none")
    out = Path(config.out)
    prepare_folder(out, "--out")
    rows = _earlier(out / "memory.json", config)
    order = [asdict(case) for case, _ in config.cases()]
    results = {"conditions": conditions(config), "budgets": list(config.bytes_of_budgets()), "rows": rows}

    def keep() -> None:
        rows.sort(key=lambda row: order.index(row["case"]) if row["case"] in order else -1)  # stable
        write_text(out / "memory.json", json.dumps(results, indent=1, allow_nan=False) + "\n")

    for case, wanted in config.cases():
        for variant in config.chosen_variants():
            row = _row(rows, case, variant)
            if row["predicted"] is None:
                say(f"{case}: {variant}, predicted")
                row.update(_predicted(config, case, variant, rows))
                keep()
            if wanted and row["measured"] is None:
                say(f"{case}: {variant}, measured")
                row.update(_measured(config, row, case))
                keep()
        if wanted and config.rounds > 0:
            say(f"{case}: weight steps, timed")
            _time(config, case, rows)
            keep()
    keep()
    write_text(out / "memory.txt", describe(results) + "\n")
    from amended_darts.benchmark.plot import draw

    draw(results, out / "memory.png")
    return results


def conditions(config: MemoryConfig) -> dict[str, Any]:
    """What the figures hold for; results under other ones are not mixed with these."""
    told: dict[str, Any] = {
        "torch": torch.__version__,
        "cpu": torch.ops.amended_darts._cpu_isa(),
        "threads": config.threads,
        "device": config.device,
    }
    if config.device == "cuda":
        told["gpu"] = torch.cuda.get_device_name()
    return told


def _earlier(path: Path, config: MemoryConfig) -> list[Row]:
    if not path.exists():
        return []
    found = read_json(path, "--out")
    if not isinstance(found, dict) or "rows" not in found:
        raise InputError(f"--out: expected the results of this benchmark or none, got {path}")
    now = {"conditions": conditions(config), "budgets": list(config.bytes_of_budgets())}
    for name, value in now.items():
        if found.get(name) != value:
            raise InputError(f"--out: expected results with {name} {value} in {path}, got {found.get(name)}")
    rows: list[Row] = found["rows"]
    return rows


def _row(rows: list[Row], case: Case, variant: str) -> Row:
    key = asdict(case)
    for row in rows:
        if row["case"] == key and row["variant"] == variant:
            return row
    row = {"case": key, "variant": variant, "predicted": None, "largest": None, "measured": None}
    rows.append(row)
    return row


def _predicted(config: MemoryConfig, case: Case, variant: str, rows: list[Row]) -> Row:
    if variant == "channels_last":  # a layout changes no number of bytes
        same = next((row for row in rows if row["case"] == asdict(case) and row["variant"] == "eager"), None)
        if same is not None and same["predicted"] is not None:
            return {"predicted": same["predicted"], "largest": same["largest"]}
    on_cpu = predict(case, variant, "cpu", config.threads)
    on_cuda = predict(case, variant, "cuda") if variant.startswith("fused") else on_cpu
    predicted: Row = {"saved": on_cpu.saved.at(case.batch), "peak": None}
    if not on_cpu.peaks:
        return {"predicted": predicted}

    def peaks(prediction: Prediction) -> dict[str, int]:
        return {step: prediction.peak(step, case.batch) for step in STEPS}

    predicted["peak"] = {"cpu": peaks(on_cpu), "cuda": peaks(on_cuda)}
    return {
        "predicted": predicted,
        "largest": {text: on_cuda.largest_batch(budget) for text, budget in config.bytes_of_budgets().items()},
    }


def _measured(config: MemoryConfig, row: Row, case: Case) -> Row:
    if row["variant"] == "compile" and config.variants is None:
        return {"note": "not measured: compiling takes many minutes; --variants compile asks for it"}
    peaks = row["predicted"]["peak"]
    if peaks is None:  # compiled edges take no more than eager ones
        peaks = _predicted(config, case, "eager", [])["predicted"]["peak"]
    free = free_bytes(torch.device(config.device))
    needs = max(peaks[config.device].values())
    if needs > SHARE * free:
        return {
            "note": f"not measured: it takes {size(needs)}, more than {SHARE:.0%} of the {size(free)} that are free"
        }
    try:
        return {"measured": measure_memory(case, row["variant"], config.device, config.threads), "note": None}
    except RunError as error:
        return {"note": f"not measured: {error}"}


def _time(config: MemoryConfig, case: Case, rows: list[Row]) -> None:
    """Weight steps of all variants that could be measured, in turns; a case that has its times already keeps them."""
    mine = [row for row in rows if row["case"] == asdict(case) and row["measured"] is not None]
    if not mine or all("seconds" in row for row in mine):
        return
    load = round(os.getloadavg()[0], 1)
    variants = [row["variant"] for row in mine]
    found = measure_seconds(case, variants, config.device, config.threads, config.rounds)["seconds"]
    for row in mine:
        row.update(seconds=found[row["variant"]], load=load)
