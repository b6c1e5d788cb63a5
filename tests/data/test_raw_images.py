"""Raw images and labels: their checksum and their order."""

import numpy as np
from data_files import small_raw

from erlib.data.raw_images import checksum, interleaved


def test_interleaved_takes_one_image_of_each_class_after_the_other():
    labels = np.array([2, 0, 0, 2, 1, 0])
    order = interleaved(labels)
    assert order.tolist() == [1, 4, 0, 2, 3, 5]
    assert labels[order].tolist() == [0, 1, 2, 0, 2, 0]


def test_checksum_depends_on_content_and_shape_but_not_on_byte_order():
    raw = small_raw()
    assert checksum(raw._replace(y_train=raw.y_train.astype(">i8"))) == checksum(raw)
    assert checksum(raw._replace(x_train=raw.x_train ^ 1)) != checksum(raw)
    assert checksum(raw._replace(x_train=raw.x_train.reshape(-1, 1, 14, 56))) != checksum(raw)
