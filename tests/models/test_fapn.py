"""FaPN's alignment and selection against their definitions."""

import mxnet as mx
import numpy as np

from mxnetseg.models.fapn import AlignedPyramid, FeatureAlignment, FeatureSelection

RNG = np.random.RandomState(0)


def normal(*shape):
    return mx.nd.array(RNG.standard_normal(shape))


def test_alignment_undoes_a_shift():
    """Told to look one pixel to the right, the convolution brings a map that lies one pixel too far right back."""
    block = FeatureAlignment(2, groups=1)
    block.initialize()
    block.align.offset.weight.set_data(mx.nd.zeros(block.align.offset.weight.shape))
    block.align.offset.bias.set_data(mx.nd.array([0, 1] * 9))
    block.align.mask.bias.set_data(mx.nd.ones(9) * 100)
    centre = np.zeros((2, 18, 1, 1))
    centre[0, 4] = centre[1, 9 + 4] = 1
    block.align.mix.weight.set_data(mx.nd.array(centre))
    block.align.mix.bias.set_data(mx.nd.zeros(2))
    fine = mx.nd.abs(normal(1, 2, 6, 7))
    shifted = mx.nd.concat(mx.nd.zeros((1, 2, 6, 1)), fine[:, :, :, :-1], dim=3)
    aligned = block(shifted, fine)
    np.testing.assert_allclose(aligned[:, :, :, :-1].asnumpy(), fine[:, :, :, :-1].asnumpy(), atol=1e-5)


def test_selection_equals_its_definition():
    block = FeatureSelection(6, 4)
    block.initialize()
    x = normal(2, 6, 5, 3)
    values = x.asnumpy()
    mean = values.mean((2, 3))
    importance = 1 / (1 + np.exp(-mean @ block.importance.weight.data().asnumpy()[:, :, 0, 0].T))
    emphasized = values * (1 + importance[:, :, None, None])
    expected = np.einsum("oc,nchw->nohw", block.reduce.weight.data().asnumpy()[:, :, 0, 0], emphasized)
    np.testing.assert_allclose(block(x).asnumpy(), expected, atol=1e-5)


def test_the_aligned_map_is_what_the_deformable_convolution_samples():
    """Without its samples nothing of the coarser level is left: the pyramid is the selected features alone."""
    block = AlignedPyramid((8, 8, 8, 8), 8, groups=2)
    block.initialize()
    features = [normal(1, 8, size, size) for size in (16, 8, 4, 2)]
    for align in block.align:
        align.align.mix.weight.set_data(align.align.mix.weight.data() * 0)
        align.align.mix.bias.set_data(align.align.mix.bias.data() * 0)
    levels = block(*features)
    assert [level.shape for level in levels] == [feature.shape for feature in features]
    for level, select, smooth, feature in zip(levels, block.select, block.smooth, features):
        np.testing.assert_allclose(level.asnumpy(), smooth(select(feature)).asnumpy(), atol=1e-5)
