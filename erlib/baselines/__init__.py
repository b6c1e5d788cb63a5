"""What ER is compared with: each method on the same `erlib.ERNetwork`, in its own small file.

Iterative methods are steps, functions of one batch that change the network; `train` loops over
them, and `choose` picks a learning rate on a validation split and tells what that cost:

====================  ==============================================================================
`backprop`            gradient descent on the cross-entropy: SGD with momentum, Adam, L-BFGS
`foof`                gradient of the fields, preconditioned by the layer's inputs (one-sided K-FAC)
`target_propagation`  difference target propagation with an analytic inverse
`semi_implicit`       semi-implicit backpropagation: targets by gradient, weights by proximal maps
`forward_gradient`    gradients guessed from directional derivatives, no backward pass
`likelihood_ratio`    gradients guessed from noise in the fields, one forward pass
`adarem`              a rate for each weight by the signs of its gradients
`adas`                a rate for each layer by what its kernel has learned
`rifle`               fine-tuning with a readout that is drawn, or solved for, anew
`desire`              spiking networks that hand down desired spikes
====================  ==============================================================================

Closed-form methods take all the data at once:

====================  ==============================================================================
`random_features`     hidden layers left random, readout by least squares (extreme learning machine)
`receptive_fields`    the first layer of a receptive-field extreme learning machine
`forward_projection`  hidden targets from random projections of inputs and labels
`threshold_network`   the globally optimal network of two layers of threshold units
`SpikeFeatures`       filters learned without labels by spike timing, for a readout
====================  ==============================================================================

Output fields are read as class scores, so that any of these can go on where ER stopped.
"""

from .adarem import adarem
from .adas import adas
from .backprop import backprop
from .desire import desire
from .foof import foof
from .forward_gradient import forward_gradient
from .forward_projection import forward_projection
from .likelihood_ratio import likelihood_ratio
from .loop import Choice, choose, train
from .random_features import random_features
from .receptive_fields import receptive_fields
from .rifle import rifle
from .semi_implicit import semi_implicit
from .spike_features import SpikeFeatures
from .target_propagation import target_propagation
from .threshold import threshold_features, threshold_network

__all__ = [
    "Choice",
    "SpikeFeatures",
    "adarem",
    "adas",
    "backprop",
    "choose",
    "desire",
    "foof",
    "forward_gradient",
    "forward_projection",
    "likelihood_ratio",
    "random_features",
    "receptive_fields",
    "rifle",
    "semi_implicit",
    "target_propagation",
    "threshold_features",
    "threshold_network",
    "train",
]
