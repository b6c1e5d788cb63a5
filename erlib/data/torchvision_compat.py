"""torchvision, importable also beside a torch that its compiled part was not built for.

The torchvision wheel of the default package index is compiled for CUDA.  Beside a CPU-only torch
its C++ extension cannot load; torchvision swallows that error, then describes two operators that
only the extension defines, and the import ends in "operator torchvision::nms does not exist".
erlib needs the data sets alone, which are plain Python, so the two operators get their schemas
(name and argument types, no computation) here and the import is tried again.  With a matching
build the first import succeeds and nothing is defined. Imported where torchvision is needed only.
"""

import importlib
import sys
import types

import torch

MISSING_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _import_torchvision() -> types.ModuleType:
    # A failed import leaves submodules behind that a second import would not attach to the new
    # package ("module 'torchvision' has no attribute 'extension'"): start clean.
    if "torchvision" not in sys.modules:
        for leftover in [name for name in sys.modules if name.startswith("torchvision.")]:
            del sys.modules[leftover]
    return importlib.import_module("torchvision")


#: The library that holds the schemas, or None.  It must stay referenced: they vanish with it.
schemas = None

try:
    torchvision = _import_torchvision()
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    schemas = torch.library.Library("torchvision", "DEF")
    for schema in MISSING_SCHEMAS:
        schemas.define(schema)
    torchvision = _import_torchvision()
