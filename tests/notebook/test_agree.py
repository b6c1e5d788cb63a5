import numpy as np
import pytest
import torch

from erlib.notebook.agree import agree, differ


def test_agree_takes_lists_of_tensors_and_prints_the_bound(capsys):
    one = [torch.ones(2, 3), None, torch.zeros(3)]
    agree("two lists", one, [np.ones((2, 3)) + 1e-14, None, np.zeros(3)])
    assert capsys.readouterr().out.endswith(" agrees, to 1e-10\n")


@pytest.mark.parametrize("wrong", [1.001, float("nan"), float("inf")])
def test_agree_refuses_what_differs(wrong):
    with pytest.raises(AssertionError, match="field: differs"):
        agree("field", [1.0, 1.0], [1.0, wrong])
    if wrong != 1.001:
        with pytest.raises(AssertionError, match="field: differs by nan"):
            differ("field", [1.0, 1.0], [1.0, wrong])


def test_differ_refuses_what_is_the_same(capsys):
    differ("broken", [1.0, 2.0], [1.0, 3.0])
    assert capsys.readouterr().out.endswith("differs, by 33 %\n")
    with pytest.raises(AssertionError, match="broken: differs by 0"):
        differ("broken", [1.0, 2.0], [1.0, 2.0])


def test_shapes_must_fit():
    with pytest.raises(AssertionError, match="2 and 3 entries"):
        agree("field", np.ones(2), np.ones(3))
