"""Tiny notebooks and the results that a run leaves."""

import json

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from erlib.notebook import paths


def write_notebook(name, *sources, parameters=None):
    """A notebook that names a kernel which exists nowhere."""
    cells = [new_markdown_cell(f"# {name}")]
    if parameters:
        cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    cells += [new_code_cell(source) for source in sources]
    notebook = new_notebook(cells=cells)
    notebook.metadata.kernelspec = {"name": "nowhere", "display_name": "?", "language": "python"}
    nbformat.write(notebook, paths.NOTEBOOKS / f"{name}.ipynb")
    return paths.NOTEBOOKS / f"{name}.ipynb"


def write_settings(name, text):
    (paths.NOTEBOOKS / "full").mkdir(exist_ok=True)
    (paths.NOTEBOOKS / "full" / f"{name}.yaml").write_text(text)


def result_of(folder, id):
    return json.loads((folder / f"{id}.json").read_text())
