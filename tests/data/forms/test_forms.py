"""What people have is opened, and gives the labels that were meant."""

import numpy as np
import pytest

from mxnetseg.config import DataConfig
from mxnetseg.data import IGNORE, open_dataset
from mxnetseg.data.check import check
from mxnetseg.data.forms import recognise

from .made import CLASSES, COLOURS, FORMS, SPLITS, TABLE, image, label

KEYS = ("images", "masks", "lists", "image_suffix", "mask_suffix")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_images_and_labels_that_are_meant(tmp_path, form):
    FORMS[form].build(tmp_path)
    data = DataConfig(name="folder", root=str(tmp_path), **FORMS[form].keys)
    void = 3 if form == "colours of the palette" else IGNORE  # there it is a class
    for split, names in SPLITS.items():
        dataset = open_dataset(data, split)
        assert dataset.classes[:3] == CLASSES and len(dataset) == len(names)
        for index, name in enumerate(dataset.names):
            name = name.split("/")[-1]
            assert name in names
            sample = dataset.load(index)
            expected = label(name)
            np.testing.assert_array_equal(sample.label, np.where(expected == 255, void, expected))
            if dataset.image_paths[index].suffix == ".png":
                np.testing.assert_array_equal(sample.image, image(name))
    report = check(data, list(SPLITS), progress=False)
    assert not report["problems"], report["problems"]


@pytest.mark.parametrize("form", [form for form, made in FORMS.items() if made.recognised])
def test_every_form_is_recognised(tmp_path, form):
    FORMS[form].build(tmp_path)
    found = recognise(tmp_path)
    meant = {k: v for k, v in FORMS[form].keys.items() if k in KEYS}
    if form in ("list with tabs", "list with commas"):  # the folders lie there as well
        meant = {"images": "images/{split}", "masks": "masks/{split}"}
    assert found.keys == meant
    assert dict(found.splits) == {split: len(names) for split, names in SPLITS.items()} and found.pairs == 6
    if "colours" in form:
        assert set(found.colours) == set(TABLE.values()) and not found.values
    else:
        assert found.values == (0, 1, 2, 255) and not found.colours
    assert COLOURS
