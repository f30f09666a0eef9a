"""A search on data of one's own, in a space of one's own, with an operator of one's own. Any tensors or pair of PyTorch
datasets will do for the data. Run: python examples/custom_search.py"""

import sys

from amended_darts import SearchConfig, Space, register_candidate, register_space, search, uniform
from sklearn.datasets import load_digits
from torch import nn, tensor


def gated(channels: int, stride: int) -> nn.Module:
    """[N, C, H, W] -> [N, C, ceil(H / stride), ceil(W / stride)]: a convolution that opens and closes another one."""
    return nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, stride, padding=1), nn.GLU(dim=1))


def main(out: str = "runs/custom") -> None:
    """Searches two cells; a line per epoch, then what was found."""
    register_candidate("gated_conv_3x3", gated)
    edges = uniform(2, ("skip_connect", "sep_conv_3x3", "gated_conv_3x3"))
    register_space(Space("gates", nodes=2, normal=edges, reduction=edges, cells=3, channels=4))
    digits = load_digits()
    images, labels = tensor(digits.images).float().unsqueeze(1), tensor(digits.target)
    train, heldout = (images[:1400], labels[:1400]), (images[1400:], labels[1400:])
    config = SearchConfig(space="gates", epochs=3, alpha_lr=0.01, out=out, overwrite=True)
    result = search(config, lambda line: print(line["heldout_accuracy"]), data=(train, heldout))
    print(result.genotype.to_json(), f"best epoch {result.best_epoch}, pictures in {result.out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
