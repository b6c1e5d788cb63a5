"""erlib: Expectation Reflection (ER) in three verbs::

    H* = reflect(H, T)          multiply each field by observed / predicted output
    W, b = regress(X, H*)       the weights that produce these fields, in closed form
    T_below = A_below + invert(H* - H, W)   the target of the layer below

One layout everywhere, one sample a row: X `[n, d_in]`, W `[d_in, d_out]`, b `[d_out]`, field
H = X W + b, output A = f(H), target T. Arrays are NumPy arrays or torch tensors of a floating
dtype, and results come back as what was given.

`ERNetwork` loops over the verbs, `ER` trains any feed-forward torch module by them, a batch at a
time; `load` reads a data set by name, `record` notes what a notebook found. `erlib.sequential` is a
variant that trains in mini-batches, a layer after the other;
`erlib.convolutional` makes convolutional networks, `erlib.augment` changes their images,
`erlib.patches` is a front end without labels. The rooms::

    erlib              the science: the verbs, and loops over them
    erlib.theory       the same update by automatic differentiation, Gauss-Newton, the implicit loss
    erlib.inference    the authors' earlier experiment: couplings of kinetic Ising networks
    erlib.baselines    what ER is compared with
    erlib.data         data sets by name
    erlib.notebook     what a cell calls: parameters, records, tables, figures
    erlib.studies      the experiments of notebooks
    erlib.runs         what runs notebooks; the command line
"""

import importlib
import sys
import types
import typing

__version__ = "0.2.0"

#: Where each public name is; loaded when it is first asked for, so that commands which only start
#: notebooks do not wait for torch.
_MODULES = {
    "Dataset": "data.named",
    "ER": "er",
    "ERClassifier": "estimators",
    "ERNetwork": "network",
    "ERRegressor": "estimators",
    "Moments": "moments",
    "activation": "activations",
    "invert": "invert",
    "load": "data.named",
    "parameter": "notebook.parameters",
    "record": "notebook.record",
    "reflect": "reflect",
    "regress": "regress",
}
__all__ = list(_MODULES)
if typing.TYPE_CHECKING:  # the same, for those who read types
    from .activations import activation as activation
    from .data.named import Dataset as Dataset
    from .data.named import load as load
    from .er import ER as ER
    from .estimators import ERClassifier as ERClassifier
    from .estimators import ERRegressor as ERRegressor
    from .invert import invert as invert
    from .moments import Moments as Moments
    from .network import ERNetwork as ERNetwork
    from .notebook.parameters import parameter as parameter
    from .notebook.record import record as record
    from .reflect import reflect as reflect
    from .regress import regress as regress


class _Package(types.ModuleType):
    def __getattr__(self, name):
        if name not in _MODULES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f".{_MODULES[name]}", self.__name__)
        setattr(self, name, getattr(module, name))
        return self.__dict__[name]

    def __setattr__(self, name, value):
        # Python stores a module that it has loaded under its name in the package, where
        # erlib.reflect, erlib.regress, ... must stay the functions.
        if isinstance(value, types.ModuleType) and _MODULES.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self):
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
