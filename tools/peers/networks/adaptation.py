"""Adaptation networks: what turns a block-wise scrambled image into features that a usual network can classify.

LE: Tanaka, "Learnable Image Encryption", IEEE ICCE-TW 2018, one small network for all blocks.  ELE and EtC: Madono,
Tanaka, Onishi and Ogawa, "Block-wise Scrambled Image Recognition Using Adaptation Network", AAAI workshops 2020, a
small network for each block, then a learned matrix over the blocks, which two penalties pull towards a permutation
(their equation 7) and towards smooth features (their equation 8).  The backbone is PyramidNet-110 with ShakeDrop.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peers.networks.pyramidnet import PyramidNet

FEATURES = 16
PERMUTATION_WEIGHT = 1e-3
SMOOTHNESS_WEIGHT = 0.1


class SharedAdaptation(nn.Module):
    """(N, 3, H, W) to (N, 16, H, W), each block by itself and all in the same way."""

    def __init__(self, block: int = 4) -> None:
        super().__init__()
        width = FEATURES * block**2
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, block, block, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.1),
            nn.PixelShuffle(block),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same height and width."""
        return self.layers(x)

    def penalty(self, _features: Tensor) -> Tensor | None:
        """None: the loss has no further terms."""
        return None


class BlockLinear(nn.Module):
    """(N, blocks, in) to (N, blocks, out): for each block a matrix of its own, divided by its spectral norm.

    Miyato, Kataoka, Koyama and Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018: the
    norm is followed by one power iteration a training step.
    """

    direction: Tensor

    def __init__(self, blocks: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(blocks, out_features, in_features) * math.sqrt(2 / in_features))
        self.register_buffer("direction", F.normalize(torch.randn(blocks, out_features, 1), dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """Each block times its matrix."""
        return torch.einsum("nbi,boi->nbo", x, self.weight / self._norm())

    def _norm(self) -> Tensor:
        """(blocks, 1, 1) spectral norms, in float32 wherever the rest is computed."""
        with torch.autocast(self.direction.device.type, enabled=False):
            with torch.no_grad():
                right = F.normalize(self.weight.mT @ self.direction, dim=1)
                left = F.normalize(self.weight @ right, dim=1)
                if self.training:
                    self.direction.copy_(left)
            return left.mT @ self.weight @ right


class BlockwiseAdaptation(nn.Module):
    """(N, 3, side, side) to (N, 16, side, side): a network for each block, then a learned mixing of blocks."""

    def __init__(self, side: int = 32, block: int = 4) -> None:
        super().__init__()
        self.side, self.block = side, block
        blocks, width = (side // block) ** 2, FEATURES * block**2
        self.linear = BlockLinear(blocks, 3 * block**2, width)
        self.bn = nn.BatchNorm1d(blocks * width)
        self.matrix = nn.Parameter(torch.empty(blocks, blocks))
        nn.init.kaiming_uniform_(self.matrix, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same height and width."""
        entries = F.unfold(x, self.block, stride=self.block).mT
        y = self.linear(entries)
        y = F.leaky_relu(self.bn(y.flatten(1)), 0.2).view_as(y)
        grid = self.side // self.block
        mixed = (y.mT @ self.matrix).unflatten(2, (grid, grid))
        return F.pixel_shuffle(mixed, self.block)

    def penalty(self, features: Tensor) -> Tensor:
        """What the loss adds for a matrix that is no permutation and for features that are not smooth."""
        return PERMUTATION_WEIGHT * far_from_permutation(self.matrix) + SMOOTHNESS_WEIGHT * roughness(features.float())


def far_from_permutation(matrix: Tensor) -> Tensor:
    """Equation 7 of Madono et al.: 0 where no row and no column has more than one entry that is not 0."""
    total = sum((matrix.abs().sum(axis) - matrix.norm(dim=axis)).sum() for axis in (0, 1))
    return torch.as_tensor(total) / matrix.numel()


def roughness(features: Tensor) -> Tensor:
    """Squared steps down and to the right, after equation 8 of Madono et al., as a mean over (N, C, H, W)."""
    down = (features[:, :, 1:, :-1] - features[:, :, :-1, :-1]).square()
    right = (features[:, :, :-1, 1:] - features[:, :, :-1, :-1]).square()
    return (down + right).mean()


class ScrambledClassifier(nn.Module):
    """An adaptation network and its backbone, for (N, 3, 32, 32) images.

    Attributes:
        penalty: of the last batch in training, to be added to the loss; None where there is none.
    """

    def __init__(self, adaptation: SharedAdaptation | BlockwiseAdaptation, backbone: PyramidNet) -> None:
        super().__init__()
        self.adaptation, self.backbone = adaptation, backbone
        self.penalty: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, classes) scores."""
        features = self.adaptation(x)
        self.penalty = self.adaptation.penalty(features) if self.training else None
        return self.backbone(features)


def shakedrop_le(num_classes: int = 10) -> ScrambledClassifier:
    """ShakeDrop behind Tanaka's adaptation network: 28.5 M parameters."""
    return ScrambledClassifier(SharedAdaptation(), PyramidNet(in_channels=FEATURES, num_classes=num_classes))


def shakedrop_ele(num_classes: int = 10) -> ScrambledClassifier:
    """ShakeDrop behind the adaptation network of ELE and EtC: 29.31 M parameters."""
    return ScrambledClassifier(BlockwiseAdaptation(), PyramidNet(in_channels=FEATURES, num_classes=num_classes))
