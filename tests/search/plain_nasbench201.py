"""The NAS-Bench-201 super-network written down once more, in torch.nn modules and nothing of this project (arXiv
2001.00326, section 2): one module per operator, one mixed operation per edge."""

from __future__ import annotations

from torch import nn


class Zero(nn.Module):
    def forward(self, x):
        return x * 0


def relu_conv_norm(channels_in, channels_out, kernel, stride=1, affine=False):
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out, affine=affine),
    )


def operator(name, channels):
    return {
        "none": Zero,
        "skip_connect": nn.Identity,
        "nor_conv_1x1": lambda: relu_conv_norm(channels, channels, 1),
        "nor_conv_3x3": lambda: relu_conv_norm(channels, channels, 3),
        "avg_pool_3x3": lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    }[name]()


class Cell(nn.Module):
    def __init__(self, names, channels):
        super().__init__()
        self.edges = nn.ModuleList(
            nn.ModuleList(operator(name, channels) for name in names) for node in range(1, 4) for _ in range(node)
        )

    def forward(self, x, weights):
        states, edge = [x], 0
        for node in range(1, 4):
            total = 0
            for source in range(node):
                total = total + sum(
                    w * op(states[source]) for w, op in zip(weights[edge], self.edges[edge], strict=True)
                )
                edge += 1
            states.append(total)
        return states[3]


class Residual(nn.Module):
    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.a = relu_conv_norm(channels_in, channels_out, 3, 2, affine=True)
        self.b = relu_conv_norm(channels_out, channels_out, 3, affine=True)
        self.pool = nn.AvgPool2d(2)
        self.conv = nn.Conv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x):
        return self.conv(self.pool(x)) + self.b(self.a(x))


class PlainNasBench201(nn.Module):
    def __init__(self, names, classes, in_channels, per_stage, channels):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))
        self.layers = nn.ModuleList()
        for stage in range(3):
            if stage > 0:
                self.layers.append(Residual(channels, 2 * channels))
                channels *= 2
            self.layers.extend(Cell(names, channels) for _ in range(per_stage))
        self.last = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.head = nn.Linear(channels, classes)

    def forward(self, x, weights):
        x = self.stem(x)
        for layer in self.layers:
            x = layer(x, weights) if isinstance(layer, Cell) else layer(x)
        return self.head(nn.functional.adaptive_avg_pool2d(self.last(x), 1).flatten(1))


def copy_weights(ours, plain):
    """Gives the plain network the weights of a ``SuperNet``."""

    def copy_all(source, target):
        for one, other in zip(source.parameters(), target.parameters(), strict=True):
            assert one.shape == other.shape
            other.data.copy_(one.data)

    copy_all(ours.stem, plain.stem)
    copy_all(ours.norm, plain.last)
    copy_all(ours.classifier, plain.head)
    cells = [layer for layer in plain.layers if isinstance(layer, Cell)]
    blocks = [layer for layer in plain.layers if isinstance(layer, Residual)]
    for block, other in zip(ours.between.values(), blocks, strict=True):
        for part, (_, convolution, norm) in zip(block.convolutions, (other.a, other.b), strict=True):
            copy_all(part.mixed.params, convolution)
            norm.weight.data.copy_(part.mixed.bn_weight[0].detach())
            norm.bias.data.copy_(part.mixed.bn_bias[0].detach())
        copy_all(block.shortcut, other.conv)
    edges = [(node, source) for node in range(1, 4) for source in range(node)]
    for cell, other in zip(ours.cells, cells, strict=True):
        for source, (call,) in enumerate(cell.states):
            for edge, node in enumerate(call.nodes):
                operators = other.edges[edges.index((node, source))]
                for name, module in zip(call.candidates, operators, strict=True):
                    if list(module.parameters()):
                        copy_all(call.mixed.params[edge][name], module)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in plain.parameters())
