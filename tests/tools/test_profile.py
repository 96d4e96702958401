"""The arithmetic that is read off oneDNN's lines."""

import pytest

from tools.profile_onednn import operations


@pytest.mark.parametrize(
    "description, expected",
    [
        ("mb2_ic64oc128_ih128oh64kh3sh2dh0ph1_iw96ow48kw3sw2dw0pw1", 2 * 2 * 64 * 128 * 64 * 48 * 9),
        ("g240mb1_ic240oc240_ih28oh28kh3sh1dh3ph4_iw30ow30kw5sw1dw3pw4", 2 * 240 * 28 * 30 * 15),
        ("mb1_ic3oc64_ih512oh256kh7sh2dh0ph3_iw512ow256kw7sw2dw0pw3", 2 * 3 * 64 * 256 * 256 * 49),
        ("1x64x256x256", 0),
    ],
)
def test_operations_of_a_convolution(description, expected):
    assert operations(description) == expected
