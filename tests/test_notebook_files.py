"""What the file of a notebook says."""

import nbformat
import pytest
from small_notebooks import write_notebook

from erlib import paths
from erlib.notebook_files import declared_parameters, source_hash
from erlib.runs import plan


def test_an_empty_folder_is_an_error(place):
    with pytest.raises(ValueError, match="no numbered notebooks"):
        plan()


def test_a_file_that_is_no_notebook_is_named(place):
    (paths.NOTEBOOKS / "01_broken.ipynb").write_text("{")
    with pytest.raises(ValueError, match=r"01_broken\.ipynb is no notebook"):
        plan()


def test_declared_parameters_with_their_values(place):
    source = 'a: float = 1e-3  # step\nb = [\n  1,\n  2,\n]\nc = (1, None)\nd = 2 * a\n"e"'
    notebook = write_notebook("01_a", parameters=source)
    expected = {"a": 1e-3, "b": [1, 2], "c": [1, None], "d": "2 * a"}
    assert declared_parameters(notebook) == expected
    assert declared_parameters(write_notebook("02_b", "a = 1")) == {}


def test_the_source_hash_ignores_outputs(place):
    notebook = write_notebook("01_a", "print(1)")
    before = source_hash(notebook)
    content = nbformat.read(notebook, 4)
    content.cells[1].execution_count = 1
    content.cells[1].outputs = [nbformat.v4.new_output("stream", text="1\n")]
    content.metadata.language_info = {"name": "python", "version": "3.0"}
    nbformat.write(content, notebook)
    assert source_hash(notebook) == before
    content.cells[1].source = "print(2)"
    nbformat.write(content, notebook)
    assert source_hash(notebook) != before
