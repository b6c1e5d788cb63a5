"""What ER is compared with: each method on the same `erlib.ERNetwork`, in its own small file.

Iterative methods are steps, functions of one batch that change the network; `train` loops over
them, and `choose` picks a learning rate on a validation split and tells what that cost:

=================== ============================================================================
`backprop`          gradient descent on the cross-entropy: SGD with momentum, Adam, L-BFGS
`foof`              gradient of the fields, preconditioned by the layer's inputs (one-sided K-FAC)
`target_propagation`  difference target propagation with an analytic inverse
`semi_implicit`     semi-implicit backpropagation: targets by gradient, weights by proximal mapping
=================== ============================================================================

Closed-form methods take all the data at once:

===================== ==========================================================================
`random_features`     hidden layers left random, readout by least squares (extreme learning machine)
`receptive_fields`    the first layer of a receptive-field extreme learning machine
`forward_projection`  hidden targets from random projections of inputs and labels
===================== ==========================================================================

Output fields are read as class scores, so that any of these can go on where ER stopped.
"""

from .backprop import backprop
from .foof import foof
from .forward_projection import forward_projection
from .loop import Choice, choose, train
from .random_features import random_features
from .receptive_fields import receptive_fields
from .semi_implicit import semi_implicit
from .target_propagation import target_propagation

__all__ = [
    "Choice",
    "backprop",
    "choose",
    "foof",
    "forward_projection",
    "random_features",
    "receptive_fields",
    "semi_implicit",
    "target_propagation",
    "train",
]
