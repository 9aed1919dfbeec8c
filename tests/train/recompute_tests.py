"""--recompute: less memory and the same bits."""
from training import *

# Everything that the backward pass reads: batch and layer norms, masks, gates, sums, poolings.
BUSY = """import std.blocks
net busy(width: int = 8, classes: int = 10, res: int = 12) {
  input image[1, res, res](mean=[0.5], std=[0.25])
  block res(c: int) {
    branch { conv_bn_act(c) -> se(4) -> conv_bn(c) -> drop_path(0.3) }
    branch { identity }
    add -> relu
  }
  block next(c: int) {
    branch { conv(c, k=3, groups=c) -> ln -> conv(4 * c, k=1) -> gelu -> conv(c, k=1) }
    branch { identity }
    add
  }
  stage s1(stride=1) { conv_bn_act(width) -> res(width) -> next(width) -> dropout(0.2) -> res(width) }
  stage s2(stride=2) { maxpool(2) -> conv_bn_act(2 * width) -> res(2 * width) -> res(2 * width) }
  head logits = gap -> flatten -> dropout(0.3) -> dense(classes)
  train {
    epochs = 2
    batch = 16
    loss = cross_entropy(logits)
    optimizer = adamw(lr=0.01)
    augment = random_crop(res, pad=1) -> hflip -> mixup(0.2)
    ema = 0.9
  }
}
"""
