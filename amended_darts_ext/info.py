"""``python -m amended_darts_ext.info``: what was built, for which torch and CUDA, and why anything is missing."""

from __future__ import annotations

import torch

from . import _C, _library

__all__ = ["describe"]


def describe() -> str:
    """The lines that ``python -m amended_darts_ext.info`` prints."""
    built = _C.build_info()
    rows = {
        "version": built["version"],
        "library": str(_library.PATH),
        "compiler": built["compiler"],
        "built for torch": f"{built['torch']} (stable ABI of 2.11: loads in 2.11 and newer)",
        "running torch": torch.__version__,
        "CPU instruction set": _cpu_instruction_set(),
        "CUDA kernels": _cuda_kernels(built),
        "CUDA device": _cuda_device(),
        "operators": ", ".join(_operators()),
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def _cpu_instruction_set() -> str:
    operators = torch.ops.amended_darts
    return f"{operators._cpu_isa()} (AMENDED_DARTS_CPU_ISA may force one of {operators._cpu_isas()})"


def _cuda_kernels(built: dict[str, str]) -> str:
    if not built["cuda"]:
        return f"not built: {built['cuda_disabled_because']}"
    return f"built with CUDA {built['cuda']} for architectures {built['cuda_architectures']}"


def _cuda_device() -> str:
    if torch.version.cuda is None:
        return "none: this torch was built without CUDA"
    if not torch.cuda.is_available():
        return f"none visible (torch was built for CUDA {torch.version.cuda})"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _operators() -> list[str]:
    schemas = torch._C._jit_get_all_schemas()
    return sorted({s.name.split("::")[1] for s in schemas if s.name.startswith("amended_darts::")})


if __name__ == "__main__":
    print(describe())
