"""The names in the folder of a batch, and the lines in which runs are handed over."""

import os
import re
from pathlib import Path

import pytest
from small_notebooks import write_notebook

from erlib.notebook.paths import ROOT
from erlib.runs.folder import Files, Order, read_failure, tables_in
from erlib.runs.plan import Settings, plan
from erlib.runs.processes import failed

SOURCES = sorted((ROOT / "erlib/runs").glob("*.py"))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_names_are_built_in_one_module_alone(file):
    code = re.sub(r'"""[\s\S]*?"""|#.*', "", file.read_text(encoding="utf-8"))
    built = re.search(r"""["'}]\.(failed|kept|partial|locks|log|writable)\b""", code)
    assert (built is None) == (file.stem != "folder")


@pytest.fixture
def order(place):
    name = os.fsdecode(b"caf\xe9")
    write_notebook("mine", parameters="n = 1").rename(place / f"{name}.ipynb")
    (run,) = plan([f"{name}.ipynb"], overrides={"n": 2})
    return Order(run, place / "out", Settings(threads=2, force=True), wait=True)


def test_an_order_arrives_as_it_was(order):
    assert Order.from_line(order.as_line()) == order


def test_a_failure_can_be_read_back(order):
    order.write_failure(failed("gone", cell=True))
    run, failure = read_failure(order.files.failure)
    assert run == order.run and failure["why"] == "gone" and failure["place"] == order.place


def test_files_are_found_from_the_result():
    files = Files(Path("out"), "01_a.failed")
    assert Files.of(files.result) == Files.of(files.failure) == files


def test_a_table_is_a_list_of_flat_dicts():
    recorded = {"rows": [{"a": 1}], "none": [], "nested": [{"a": [1]}], "list": [1], "n": 1}
    assert tables_in({"recorded": recorded}) == {"rows": [{"a": 1}], "none": []}
