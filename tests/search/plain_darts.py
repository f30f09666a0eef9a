"""The DARTS super-network written down once more, in torch.nn modules and nothing of this project: one module per
operator, one mixed operation per edge, summed as the paper's equations are (arXiv 1806.09055, section 2)."""

from __future__ import annotations

import torch
from torch import nn


def norm(channels):
    return nn.BatchNorm2d(channels, affine=False)


def depthwise(channels, kernel, stride, dilation):
    padding = dilation * (kernel - 1) // 2
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        norm(channels),
    ]


class Halve(nn.Module):
    """FactorizedReduce; an odd size gets a row and a column of zeros at the end for the shifted branch."""

    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.one = nn.Conv2d(channels_in, channels_out // 2, 1, 2, bias=False)
        self.two = nn.Conv2d(channels_in, channels_out - channels_out // 2, 1, 2, bias=False)
        self.norm = norm(channels_out)

    def forward(self, x):
        x = torch.relu(x)
        height, width = x.shape[2:]
        larger = x.new_zeros(*x.shape[:2], height + height % 2, width + width % 2)
        larger[:, :, :height, :width] = x
        return self.norm(torch.cat([self.one(x), self.two(larger[:, :, 1:, 1:])], 1))


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x[:, :, :: self.stride, :: self.stride] * 0


def operator(name, channels, stride):
    if name == "none":
        return Zero(stride)
    if name == "max_pool_3x3":
        return nn.Sequential(nn.MaxPool2d(3, stride, 1), norm(channels))
    if name == "avg_pool_3x3":
        return nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), norm(channels))
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Halve(channels, channels)
    kernel = int(name[-1])
    if name.startswith("sep"):
        return nn.Sequential(*depthwise(channels, kernel, stride, 1), *depthwise(channels, kernel, 1, 1))
    return nn.Sequential(*depthwise(channels, kernel, stride, 2))


class Cell(nn.Module):
    def __init__(self, names, nodes, before_last, last, channels, reduction, reduced_before):
        super().__init__()
        self.pre0 = Halve(before_last, channels) if reduced_before else self.conv(before_last, channels)
        self.pre1 = self.conv(last, channels)
        self.nodes = nodes
        self.edges = nn.ModuleList(
            nn.ModuleList(operator(name, channels, 2 if reduction and source < 2 else 1) for name in names)
            for node in range(nodes)
            for source in range(2 + node)
        )

    @staticmethod
    def conv(channels_in, channels_out):
        return nn.Sequential(nn.ReLU(), nn.Conv2d(channels_in, channels_out, 1, bias=False), norm(channels_out))

    def forward(self, s0, s1, weights):
        states = [self.pre0(s0), self.pre1(s1)]
        edge = 0
        for _ in range(self.nodes):
            total = 0
            for state in list(states):
                total = total + sum(w * op(state) for w, op in zip(weights[edge], self.edges[edge], strict=True))
                edge += 1
            states.append(total)
        return torch.cat(states[2:], 1)


class PlainDarts(nn.Module):
    def __init__(self, names, classes, in_channels, cells, channels, nodes=4):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, 3 * channels, 3, 1, 1, bias=False), nn.BatchNorm2d(3 * channels)
        )
        self.reductions = (cells // 3, 2 * cells // 3)
        self.cells = nn.ModuleList()
        before_last, last, reduced = 3 * channels, 3 * channels, False
        for index in range(cells):
            if index in self.reductions:
                channels *= 2
            self.cells.append(Cell(names, nodes, before_last, last, channels, index in self.reductions, reduced))
            before_last, last, reduced = last, nodes * channels, index in self.reductions
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(last, classes)

    def forward(self, x, normal, reduction):
        s0 = s1 = self.stem(x)
        for index, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1, reduction if index in self.reductions else normal)
        return self.head(self.pool(s1).flatten(1))
