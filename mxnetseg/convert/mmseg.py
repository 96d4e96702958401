"""Parameter names of the PyTorch originals (mmsegmentation's EncoderDecoder) -> ours.

MogaNet, FFNet and DGMN2, under Semantic FPN, UPerNet, SETR's heads and FFNet's own.
"""

import re
from typing import Dict, Optional

from ..foreign.families import LEAF, OF_BRANCH, rules_of, strips, two_residuals
from ..foreign.names import Rules, rename, with_norms

__all__ = ["translate"]

# counters of PyTorch's batch norms; the classifiers that backbones had before
_NOT_NEEDED = re.compile(r"num_batches_tracked$|^backbone\.head\d?\.")


def translate(state: Dict, spec: Dict) -> Dict[str, Optional[str]]:
    """Name in `state` (name -> array) -> our name, or None for what no network of ours needs.

    KeyError where there is no table for the model or the backbone of `spec`.
    """
    rules = rules_of(spec["backbone"]) + _HEADS[spec["name"]] + _CLASSIFIER + _AUX + LEAF
    return {name: None if _NOT_NEEDED.search(name) else rename(with_norms(name, state), rules) for name in state}


_CLASSIFIER: Rules = [(r"^decode_head\.conv_seg\.", "head.classify.")]

_AUX: Rules = [
    (r"^auxiliary_head\.convs\.0\.", "aux_heads.0.conv1."),
    (r"^auxiliary_head\.conv_seg\.", "aux_heads.0.conv2."),
]

_HEADS = {
    "semantic_fpn": [
        (r"^neck\.lateral_convs\.(\d)\.conv\.", r"head.neck.lateral.\1."),
        (r"^neck\.fpn_convs\.(\d)\.conv\.", r"head.neck.smooth.\1."),
        # between the convolutions, their list counts the resizes
        (r"^decode_head\.scale_heads\.(\d)\.(\d)\.", lambda m: f"head.scales.{m.group(1)}.{int(m.group(2)) // 2}."),
    ],
    "upernet": [
        (r"^decode_head\.psp_modules\.(\d)\.1\.", r"head.pool.convs.\1."),
        (r"^decode_head\.bottleneck\.", "head.bottleneck."),
        (r"^decode_head\.lateral_convs\.", "head.lateral."),
        (r"^decode_head\.fpn_convs\.", "head.smooth."),
        (r"^decode_head\.fpn_bottleneck\.", "head.fuse."),
    ],
    "setr_naive": [],
    "setr_pup": [
        (r"^decode_head\.conv_(\d)\.", r"head.convs.\1."),
        (r"^decode_head\.syncbn_fc_(\d)\.", r"head.norms.\1."),
    ],
    # convolution, norm, ReLU, convolution, norm, ReLU in a row
    "setr_mla": [
        (
            r"^decode_head\.mlahead\.head(\d)\.(\d)\.",
            lambda m: f"head.branches.{int(m.group(1)) - 2}.{int(m.group(2)) // 3}."
            f"{'norm' if int(m.group(2)) % 3 else 'conv'}.",
        ),
    ],
    "ffnet": [
        *strips("decode_head"),
        (r"\.fc" + OF_BRANCH, ".fc.branches.0."),
        (r"^decode_head\.(squeeze|align)\.(\d)\.", r"head.\1.\2.branches.0."),
        (r"^decode_head\.(head_blocks\.)(\d+)\.(token_mixer|channel_mixer)\.()", two_residuals),
        (r"^head_blocks\.", "head.blocks."),
    ],
}
