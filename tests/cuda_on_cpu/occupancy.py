"""How many of a multiprocessor's warps a kernel can keep busy, by the arithmetic of CUDA's cuda_occupancy.h."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Multiprocessor:
    """Limits of one multiprocessor (CUDA C++ Programming Guide, "Compute Capabilities")."""

    warps: int
    blocks: int
    shared_bytes: int
    registers: int = 65536
    partitions: int = 4  # each with its part of the registers
    register_granularity: int = 256  # of a warp
    shared_granularity: int = 128
    shared_reserved: int = 1024  # by the system, in each block


ARCHITECTURES = {
    "sm_80": Multiprocessor(warps=64, blocks=32, shared_bytes=164 * 1024),
    "sm_90": Multiprocessor(warps=64, blocks=32, shared_bytes=228 * 1024),
}


def _round_up(x: int, to: int) -> int:
    return -(-x // to) * to


def blocks_per_multiprocessor(architecture: str, threads: int, registers: int, shared_bytes: int) -> int:
    """Blocks of ``threads`` threads with so many registers each and so much shared memory that run at once."""
    sm = ARCHITECTURES[architecture]
    warps = -(-threads // 32)
    of_warp = _round_up(registers * 32, sm.register_granularity)
    by_registers = sm.registers // sm.partitions // of_warp * sm.partitions // warps
    by_shared = sm.shared_bytes // _round_up(shared_bytes + sm.shared_reserved, sm.shared_granularity)
    return min(sm.blocks, sm.warps // warps, by_registers, by_shared)


def occupancy(architecture: str, threads: int, registers: int, shared_bytes: int) -> float:
    """The part of the multiprocessor's warps that can be resident."""
    warps = -(-threads // 32)
    blocks = blocks_per_multiprocessor(architecture, threads, registers, shared_bytes)
    return blocks * warps / ARCHITECTURES[architecture].warps
