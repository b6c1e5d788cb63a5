"""erlib: Expectation Reflection (ER) in three verbs.

    H* = reflect(H, T)          multiply each field by observed / predicted output
    W, b = regress(X, H*)       the weights that produce these fields, in closed form
    T_below = A_below + invert(H* - H, W)   the target of the layer below

One layout everywhere, one sample a row: X `[n, d_in]`, W `[d_in, d_out]`, b `[d_out]`, field
H = X W + b, output A = f(H), target T. Arrays are NumPy arrays or torch tensors of a floating
dtype, and results come back as what was given.

`ERNetwork` loops over the verbs, `load` reads a data set by name, `record` notes what a notebook
found. The theory has modules of its own: `erlib.implicit_loss`, `erlib.gradient` (the same update
by automatic differentiation) and `erlib.gauss_newton`. `erlib.sequential` is the named variant that
trains in mini-batches without a step length, `erlib.baselines` what ER is compared with,
`erlib.patches` a front end without labels. `erlib.convolutional` makes convolutional networks,
`erlib.augment` changes their images, `erlib.effective_rank` counts the directions of a layer.
"""

from .activations import activation
from .datasets import Dataset, load
from .invert import invert
from .network import ERNetwork
from .parameters import parameter
from .record import record
from .reflect import reflect
from .regress import Moments, regress

__version__ = "0.1.0"
__all__ = [
    "Dataset",
    "ERNetwork",
    "Moments",
    "activation",
    "invert",
    "load",
    "parameter",
    "record",
    "reflect",
    "regress",
]
