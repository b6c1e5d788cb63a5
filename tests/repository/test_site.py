"""What the site is made of: `make site`. Its pages are tried in test_site_pages.py."""

import importlib
import inspect
import json
import pkgutil
import re
import sys

import pytest
import yaml

import erlib
from erlib.notebook import paths

SOURCES = paths.ROOT / "docs/site"
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(erlib.__path__, "erlib.")
    if not module.ispkg and module.name != "erlib.__main__"
)


@pytest.fixture
def of_site(monkeypatch):
    """Imports a module of docs/site."""
    pytest.importorskip("docutils", reason="make site installs the extra docs")
    monkeypatch.syspath_prepend(SOURCES)
    return importlib.import_module


# ---- the reference ------------------------------------------------------------------------------


def test_the_reference_has_each_module_once():
    pages = [page.read_text("utf-8") for page in paths.ROOT.glob("docs/reference/*.rst")]
    blocks = re.findall(r"^\.\. modules:: (.*(?:\n   .*)*)", "\n".join(pages), re.M)
    assert sorted(f"erlib.{name}" for name in " ".join(blocks).split()) == MODULES


def calls_with_lists_of_parameters():
    """The public calls whose docstrings have sections."""
    for name in MODULES:
        importlib.import_module(name)
        for found in vars(sys.modules[name]).values():
            if getattr(found, "__module__", None) == name and callable(found):
                methods = vars(found) if inspect.isclass(found) else ()
                calls = (found, *(getattr(found, method) for method in methods))
                yield from (c for c in calls if "\nParameters\n---" in (inspect.getdoc(c) or ""))


@pytest.mark.slow
def test_a_list_of_parameters_has_all_of_them_in_order():
    validate = pytest.importorskip("numpydoc.validate", reason="make site installs the extra docs")
    docscrape = importlib.import_module("numpydoc.docscrape")
    calls = list(calls_with_lists_of_parameters())
    assert len(calls) > 25
    for call in calls:
        errors = validate.validate(docscrape.get_doc_object(call))["errors"]
        # parameters that are missing, unknown, out of order, without a space before the colon;
        # a value returned without a word
        wrong = [text for code, text in errors if code in {"PR01", "PR02", "PR03", "PR10", "RT03"}]
        assert not wrong, f"{call.__qualname__}: {wrong}"


# ---- pages --------------------------------------------------------------------------------------


def test_a_picture_is_described_by_its_heading_and_its_axes(of_site):
    alternative = of_site("alternatives").alternative
    code = r'axes.set(xlabel="updates", ylabel="size\nof $h$", title=f"{n} units")'
    assert alternative("Fields grow", code) == "Fields grow: updates; size of h"
    assert alternative("Fields grow", "draw()") == "Fields grow"


def test_numbers_hold_together(of_site):
    held = of_site("spaces").hold_together("ahead by 1.5 ± 0.7 points, of 98 %, ± and % alone")
    assert held == "ahead by 1.5\xa0±\xa00.7 points, of 98\xa0%, ± and % alone"


def test_mathjax_is_one_version_with_a_checksum():
    wanted, found = (
        json.loads((SOURCES / name).read_text("utf-8"))
        for name in ("package.json", "package-lock.json")
    )
    (locked,) = (package for name, package in found["packages"].items() if name)
    assert wanted["dependencies"] == {"mathjax": locked["version"]}
    assert re.fullmatch(r"\d+\.\d+\.\d+", locked["version"])
    assert locked["integrity"].startswith("sha512-")


def test_what_is_published_was_tried():
    jobs = yaml.safe_load((paths.ROOT / ".github/workflows/pages.yml").read_text("utf-8"))["jobs"]
    *_, tried, published = jobs["build"]["steps"]
    assert tried == {"run": "make site-test"}
    assert published["with"] == {"path": "site/html"}
    assert jobs["deploy"]["needs"] == "build"
