"""Guards on the committed notebooks: what nbval does not see.

nbval passes a notebook that was never executed, compares no picture and reads no prose.  Each guard
below is a function that fails on a notebook that breaks its rule; a spoilt notebook for each shows
that it does.
"""

import ast
import io
import json
import os
import re
import subprocess
import sys
import tokenize

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbval.plugin import get_sanitize_patterns

from erlib.notebook import paths
from erlib.runs.plan import plan

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
SECTIONS = ("Predictions", "What came of the predictions", "Limits", "Exercises")
# What a reader can take in, with room for a derivation (CONTRIBUTING.md has the measures aimed at).
LINES, CELL, SILENT, WORDS, PARAGRAPH = 210, 30, 45, 2000, 130
GUARDS = []


def guard(check):
    GUARDS.append(check)
    return check


def code_cells(notebook, tag=None):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in cells if tag in tags_of(cell)] if tag else cells


def tags_of(cell):
    return cell.metadata.get("tags", [])


def outputs_of(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def calls_of(name, cells):
    """All calls of the function in the cells: ``record()`` and ``erlib.record()`` for record."""
    nodes = [node for cell in cells for node in ast.walk(ast.parse(cell.source))]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    return [call for call in calls if re.search(rf"(^|\.){name}$", ast.unparse(call.func))]


# ---- the guards ---------------------------------------------------------------------------------


@guard
def is_valid(notebook):
    nbformat.validate(notebook)


@guard
def code_is_plain_python(notebook):
    for cell in code_cells(notebook):
        ast.parse(cell.source)  # SyntaxError at a magic command: readers may not have the program


@guard
def was_executed_once_in_order(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), "run: make refresh"


@guard
def shows_no_error_and_no_warning(notebook):
    for output in outputs_of(notebook):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text


@guard
def shows_text_and_png_only(notebook):
    # nbval compares SVG and PDF, which hold dates; widgets are dead outside Jupyter.
    shown = {kind for output in outputs_of(notebook) for kind in output.get("data", ())}
    assert shown <= {"text/plain", "text/markdown", "text/latex", "text/html", "image/png"}


@guard
def names_the_kernel_that_everybody_has(notebook):
    assert notebook.metadata.kernelspec.name == "python3"


@guard
def has_one_parameters_cell(notebook):
    assert len(code_cells(notebook, "parameters")) == 1
    assert not code_cells(notebook, "injected-parameters")


@guard
def checks_each_parameter_in_the_next_cell(notebook):
    cells = code_cells(notebook)
    (at,) = [i for i, cell in enumerate(cells) if "parameters" in tags_of(cell)]
    assigned = [
        node for node in ast.walk(ast.parse(cells[at].source)) if isinstance(node, ast.Name)
    ]
    declared = {node.id for node in assigned if isinstance(node.ctx, ast.Store)}
    calls = calls_of("parameter", [cells[at + 1]])
    assert declared <= {keyword.arg for call in calls for keyword in call.keywords}


@guard
def has_no_semicolon(notebook):
    # nbval sees the output that a trailing one hides in Jupyter; end with plt.show() instead.
    for cell in code_cells(notebook):
        tokens = tokenize.generate_tokens(io.StringIO(cell.source).readline)
        assert not [token for token in tokens if token.string == ";"], cell.source


@guard
def holds_no_trace_of_its_execution(notebook):
    assert "papermill" not in notebook.metadata
    for cell in notebook.cells:
        assert not {"papermill", "execution"} & cell.metadata.keys()


@guard
def is_small_enough_to_be_shown(notebook):
    assert len(nbformat.writes(notebook)) < 1_500_000


@guard
def opens_with_its_title(notebook):
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")


@guard
def says_the_claim_or_the_question_first(notebook):
    assert re.search(r"^\*[^*]+\?\*$", notebook.cells[0].source, re.M), "no question in italics"


@guard
def is_read_in_one_sitting(notebook):
    lines, silent = [], 0
    for cell in code_cells(notebook):
        lines.append(sum(bool(line.strip()) for line in cell.source.splitlines()))
        silent += lines[-1]
        assert lines[-1] <= CELL, f"a cell of {lines[-1]} lines: {cell.source[:60]}"
        assert silent <= SILENT, f"{silent} lines before something is shown: {cell.source[:60]}"
        silent = 0 if cell.outputs else silent
    assert sum(lines) <= LINES, f"{sum(lines)} lines of code"


@guard
def has_few_words(notebook):
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    text = re.sub(r"```.*?```|\$\$.*?\$\$", "", "\n\n".join(prose), flags=re.S)
    assert len(text.split()) <= WORDS, f"{len(text.split())} words"
    for paragraph in text.split("\n\n"):
        if not paragraph.lstrip().startswith(("|", "-", "1.", "*")):
            assert len(paragraph.split()) <= PARAGRAPH, paragraph[:80]


@guard
def collapses_what_is_not_the_subject(notebook):
    for cell in code_cells(notebook, "parameters") + code_cells(notebook)[-1:]:
        assert cell.metadata.get("jupyter", {}).get("source_hidden") and "hide-input" in tags_of(
            cell
        )


@guard
def shows_pictures(notebook):
    pictures = [o for o in outputs_of(notebook) if "image/png" in o.get("data", {})]
    assert pictures


@guard
def has_solutions_to_its_exercises(notebook):
    if notebook.cells[0].source.startswith("# 00"):
        return
    assert "<details>" in notebook.cells[-2].source


@guard
def has_the_sections(notebook):
    if notebook.cells[0].source.startswith("# 00"):
        return  # the overview predicts nothing
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## (.*?) *$", prose, re.M)
    assert [heading for heading in headings if heading in SECTIONS] == list(SECTIONS)


@guard
def protects_and_records_what_it_says(notebook):
    cells = code_cells(notebook)
    nodes = [node for cell in cells for node in ast.walk(ast.parse(cell.source))]
    assert [node for node in nodes if isinstance(node, ast.Assert)]
    assert calls_of("record", cells)


@guard
def ends_with_the_environment(notebook):
    last = code_cells(notebook)[-1]
    assert "nbval-ignore-output" in tags_of(last)
    assert calls_of("print_environment", [last])


# ---- the guards on the committed notebooks ------------------------------------------------------


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
@pytest.mark.parametrize("check", GUARDS, ids=lambda check: check.__name__)
def test_notebook(check, file):
    check(nbformat.read(file, as_version=4))


def test_each_has_a_number_of_its_own():
    numbers = [re.fullmatch(r"(\d\d)_[a-z0-9_]+\.ipynb", file.name)[1] for file in NOTEBOOKS]
    assert len(set(numbers)) == len(numbers)


def test_the_full_profile_sets_known_parameters():
    files = sorted((paths.NOTEBOOKS / "full").glob("*.yaml"))
    runs = {run.id: run for run in plan(profile="full")}  # refuses what no notebook declares
    for file in files:
        assert runs[file.stem].settings, f"{file.name} sets nothing"


# ---- the guards on spoilt notebooks -------------------------------------------------------------


@pytest.fixture
def good():
    """The smallest notebook that passes."""
    executed = [
        ("seeds: list = [0, 1]\nwidth = 10", ["parameters", "hide-input"]),
        (
            "from erlib import parameter, plots, record\n"
            "from erlib.notebook.record import print_environment\n"
            "seeds = parameter([int], seeds=seeds)\n"
            "width = min(100, parameter(int, width=width, at_least=1))",
            [],
        ),
        ("record(seeds=len(seeds))\nassert seeds\nprint(len(seeds))", []),
        ("plots.save(figure, '01_digits')\nplots.save(figure, f'01_{name}')", []),
        ("print_environment()", ["nbval-ignore-output", "hide-input"]),
    ]
    cells = [
        new_code_cell(source, execution_count=number, metadata={"tags": tags} if tags else {})
        for number, (source, tags) in enumerate(executed, start=1)
    ]
    for cell in cells[0], cells[-1]:
        cell.metadata |= {"jupyter": {"source_hidden": True}}
    cells[2].outputs = [new_output("stream", name="stdout", text="2\n")]
    cells[3].outputs = [new_output("display_data", {"image/png": "", "text/plain": "<Figure>"})]
    cells.insert(0, new_markdown_cell("# Title\n\n*Does it hold?*\n\n## Predictions"))
    end = "## What came of the predictions\n\n## Limits\n\n## Exercises\n\n<details></details>"
    cells.insert(-1, new_markdown_cell(end))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


@pytest.mark.parametrize("check", GUARDS, ids=lambda check: check.__name__)
def test_a_good_notebook_passes(good, check):
    check(good)


# Cells of the good notebook by name.
TITLE, PARAMETERS, CHECKS, RECORD, PICTURE, END, ENVIRONMENT = range(7)


def source(cell, old, new):
    """Spoil by replacing a piece of the source of one cell."""

    def spoil(notebook):
        assert old in notebook.cells[cell].source
        notebook.cells[cell].source = notebook.cells[cell].source.replace(old, new)

    return spoil


def field(cell, **values):
    """Spoil by setting fields of one cell."""
    return lambda notebook: notebook.cells[cell].update(nbformat.from_dict(values))


LONG = new_code_cell("\n".join(["width = 1"] * 25), outputs=[new_output("stream", text="")])


def output(*args, **values):
    """Spoil by what one cell puts out."""
    return lambda notebook: notebook.cells[RECORD].update(outputs=[new_output(*args, **values)])


@pytest.mark.parametrize(
    ("check", "spoil"),
    [
        (is_valid, field(RECORD, outputs=[{"output_type": "unknown"}])),
        (code_is_plain_python, source(RECORD, "assert", "%time assert")),
        (code_is_plain_python, source(RECORD, "assert", "!ls\nassert")),
        (was_executed_once_in_order, field(RECORD, execution_count=None)),
        (was_executed_once_in_order, field(RECORD, execution_count=7)),
        (was_executed_once_in_order, lambda notebook: notebook.cells.append(new_code_cell(""))),
        (shows_no_error_and_no_warning, output("error", ename="E", evalue="", traceback=[])),
        (shows_no_error_and_no_warning, output("stream", name="stderr", text="Warning")),
        (shows_text_and_png_only, output("display_data", {"image/svg+xml": "<svg/>"})),
        (shows_text_and_png_only, output("execute_result", {"application/pdf": ""})),
        (
            names_the_kernel_that_everybody_has,
            lambda notebook: notebook.metadata.kernelspec.update(name="my-env"),
        ),
        (has_one_parameters_cell, field(PARAMETERS, metadata={})),
        (has_one_parameters_cell, field(RECORD, metadata={"tags": ["parameters"]})),
        (has_one_parameters_cell, field(RECORD, metadata={"tags": ["injected-parameters"]})),
        (checks_each_parameter_in_the_next_cell, source(PARAMETERS, "width", "depth = 1\nwidth")),
        (checks_each_parameter_in_the_next_cell, source(CHECKS, "seeds=seeds", "seed=seeds")),
        (checks_each_parameter_in_the_next_cell, lambda notebook: notebook.cells.pop(CHECKS)),
        (has_no_semicolon, source(PICTURE, "digits')", "digits');  # no output")),
        (holds_no_trace_of_its_execution, field(RECORD, metadata={"papermill": {}})),
        (holds_no_trace_of_its_execution, field(RECORD, metadata={"execution": {}})),
        (
            holds_no_trace_of_its_execution,
            lambda notebook: notebook.metadata.update(papermill={"duration": 1.0}),
        ),
        (is_small_enough_to_be_shown, output("display_data", {"image/png": "x" * 1_500_000})),
        (opens_with_its_title, source(TITLE, "# Title", "Title")),
        (says_the_claim_or_the_question_first, source(TITLE, "*Does it hold?*", "It holds.")),
        (
            is_read_in_one_sitting,
            source(RECORD, "assert", "\n".join(["width = 1"] * 30 + ["assert"])),
        ),
        (is_read_in_one_sitting, lambda notebook: notebook.cells.extend([LONG] * 10)),
        (has_few_words, source(END, "## Limits", "word " * 131)),
        (has_few_words, source(END, "## Limits", "- word word word\n\n" * 667)),
        (collapses_what_is_not_the_subject, field(PARAMETERS, metadata={"tags": ["parameters"]})),
        (shows_pictures, field(PICTURE, outputs=[])),
        (has_solutions_to_its_exercises, source(END, "<details>", "")),
        (has_the_sections, source(TITLE, "## Predictions", "")),
        (has_the_sections, source(END, "## Limits", "### Limits")),
        (protects_and_records_what_it_says, source(RECORD, "assert seeds", "")),
        (protects_and_records_what_it_says, source(RECORD, "record(seeds=len(seeds))", "")),
        (ends_with_the_environment, field(ENVIRONMENT, metadata={})),
        (ends_with_the_environment, source(ENVIRONMENT, "print_environment()", "")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_spoilt_notebook_fails(good, check, spoil):
    spoil(good)
    with pytest.raises((AssertionError, SyntaxError, nbformat.ValidationError)):
        check(good)


# ---- nbval.cfg, and the digits that nbval compares ----------------------------------------------


def sanitized(text):
    rules = get_sanitize_patterns((paths.NOTEBOOKS / "nbval.cfg").read_text(encoding="utf-8"))
    for regex, replacement in rules:
        text = re.sub(regex, replacement, text)
    return text


@pytest.mark.parametrize(
    ("printed", "compared"),
    [
        ("one update 1.53 s, of 12 seconds", "one update TIME s, of TIME seconds"),
        ("difference -2.2e-16, 3e-15", "difference ROUND-OFF, ROUND-OFF"),
        ("<object at 0x7f3a5c0d1e40>", "<object at ADDRESS>"),
        ("ER 96.2 ± 0.3 %, 5 seeds, 3 steps", "ER 96.2 ± 0.3 %, 5 seeds, 3 steps"),
        ("slope 4.1e-03 and 1.0e-10", "slope 4.1e-03 and 1.0e-10"),
    ],
)
def test_only_what_may_differ_is_blurred(printed, compared):
    assert sanitized(printed) == compared


@pytest.mark.slow
def test_threads(tmp_path):
    """The number of threads changes no printed digit of a notebook that trains networks."""
    name = "04_one_update"
    one, two = (printed_with_threads(name, threads, tmp_path / f"{threads}") for threads in (1, 2))
    assert len(one) > 5
    assert one == two


def printed_with_threads(name, threads, folder):
    """What a run of the notebook prints, by number of the cell, and its recorded accuracies."""
    command = [sys.executable, "-m", "erlib", "run", name]
    command += ["-p", "seeds", "[0, 1]"]  # enough digits in less time
    command += ["--threads", str(threads), "--output", str(folder)]
    quiet = os.environ | {"ERLIB_PROGRESS": "off"}
    subprocess.run(command, check=True, cwd=paths.ROOT, env=quiet)
    result = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    assert result["environment"]["torch_threads"] == threads
    notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    tables = result["recorded"]
    printed = {name: [row["accuracy"] for row in rows] for name, rows in tables.items()}
    for cell in code_cells(notebook):
        if "nbval-ignore-output" not in tags_of(cell) and cell.outputs:
            shown = [piece for piece in cell.outputs if piece.get("name") != "stderr"]  # progress
            texts = [piece.get("text") or texts_of(piece) for piece in shown]
            printed[cell.execution_count] = [sanitized(str(text)) for text in texts]
    return printed


def texts_of(output):
    return {kind: text for kind, text in output.data.items() if kind.startswith("text/")}
