"""The torchvision import: helped where its compiled part cannot load, left alone where it can."""

import importlib.util
import runpy
import subprocess
import sys

import pytest
import torch


@pytest.fixture
def library_calls(monkeypatch):
    """Record what would be defined: a real "torchvision" library exists once in a process."""
    calls = []

    class Library:
        def __init__(self, *arguments):
            calls.append(arguments)

        def define(self, schema):
            calls.append(schema.split("(")[0])

    monkeypatch.setattr(torch.library, "Library", Library)
    return calls


@pytest.fixture
def fake_torchvision(tmp_path, monkeypatch):
    """Put a torchvision of the given source before the installed one."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    before = set(sys.modules)

    def write(source, **submodules):
        package = tmp_path / "torchvision"
        package.mkdir()
        (package / "__init__.py").write_text(source)
        for name, text in submodules.items():
            (package / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)

    yield write
    for name in set(sys.modules) - before:
        if name.split(".")[0] == "torchvision":
            del sys.modules[name]


FAILS_ONCE = """
import sys
from . import extension
import torchvision.extension
torchvision.extension.loaded
if not hasattr(sys, "_erlib_second_try"):
    sys._erlib_second_try = True
    raise RuntimeError("operator torchvision::nms does not exist")
"""


def run_compat():
    """Execute the module anew, whether or not it was imported before."""
    return runpy.run_path(importlib.util.find_spec("erlib.data.torchvision_compat").origin)


def test_matching_build_defines_nothing(fake_torchvision, library_calls):
    fake_torchvision("answer = 42")
    module = run_compat()
    assert module["torchvision"].answer == 42
    assert module["schemas"] is None
    assert library_calls == []


def test_missing_operators_are_defined_and_the_import_tried_again(
    fake_torchvision, library_calls, monkeypatch
):
    monkeypatch.setattr(sys, "_erlib_second_try", True, raising=False)
    monkeypatch.delattr(sys, "_erlib_second_try")
    fake_torchvision(FAILS_ONCE, extension="loaded = False")
    module = run_compat()
    assert library_calls == [("torchvision", "DEF"), "nms", "qnms"]
    assert module["schemas"] is not None  # or the schemas would vanish
    assert module["torchvision"].extension.loaded is False
    del sys._erlib_second_try


@pytest.mark.parametrize("error", ["RuntimeError('out of memory')", "ImportError('no PIL')"])
def test_any_other_failure_is_passed_on(fake_torchvision, library_calls, error):
    fake_torchvision(f"raise {error}")
    with pytest.raises((RuntimeError, ImportError), match=r"out of memory|no PIL"):
        run_compat()
    assert library_calls == []


@pytest.mark.slow
def test_installed_torchvision_works_after_an_import_that_failed():
    """In a process of its own, as a notebook that first tried the plain import would do it."""
    code = """
try:
    import torchvision
    plain = True
except RuntimeError:
    plain = False
from erlib.data import torchvision_compat
import torchvision
assert torchvision is torchvision_compat.torchvision
assert (torchvision_compat.schemas is None) == plain
assert torchvision.datasets.MNIST.resources
assert torchvision.extension._has_ops() == plain
"""
    subprocess.run([sys.executable, "-c", code], check=True)
