"""Batch norms folded into the convolutions before them, for inference with PyTorch itself."""

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Fold each batch norm into the convolution right before it in a Sequential; in place, in evaluation mode."""
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for (index, conv), (after, norm) in pairwise(list(module.named_children())):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module._modules[index] = fuse_conv_bn_eval(conv, norm)
                    module._modules[after] = nn.Identity()
    return network
