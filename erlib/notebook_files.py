"""The numbered notebooks as files: which there are, their parameters, a hash of their source."""

import ast
import hashlib
import json

import nbformat

from . import paths


def find_notebooks():
    """The numbered notebooks, in order."""
    found = sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise ValueError(f"no numbered notebooks (NN_name.ipynb) in {paths.NOTEBOOKS}")
    return found


def declared_parameters(notebook):
    """Names and default values of the cell tagged ``parameters``, {} where there is none.

    A default that is no literal is given as its source text.
    """
    for cell in cells(notebook):
        if "parameters" in cell.metadata.get("tags", []):
            break
    else:
        return {}
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError as error:
        raise ValueError(f"{notebook.name}: the parameters cell is no Python: {error}") from None
    declared = {}
    for statement in statements:
        targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and getattr(statement, "value", None):
                declared[target.id] = _literal(statement.value)
    return declared


def source_hash(notebook):
    """SHA-256 of the cells' kinds, sources and tags: outputs and other metadata do not count."""
    essence = [[c.cell_type, c.source, c.metadata.get("tags", [])] for c in cells(notebook)]
    return hashlib.sha256(json.dumps(essence).encode()).hexdigest()


def cells(notebook):
    """The cells of the file; ValueError naming it if it is no notebook."""
    try:
        return nbformat.read(notebook, as_version=4).cells
    except Exception as error:  # nbformat has several, none of which names the file
        raise ValueError(f"{notebook.name} is no notebook: {first_line(str(error))}") from None


def first_line(text):
    """The first line that says something, without papermill's notes and Python's comments."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("#")), lines[0] if lines else "")


def _literal(node):
    try:
        return json.loads(json.dumps(ast.literal_eval(node)))  # as it will stand in the JSON
    except (ValueError, TypeError):
        return ast.unparse(node)
