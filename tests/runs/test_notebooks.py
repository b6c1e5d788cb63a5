"""What the file of a notebook says."""

import nbformat
import pytest
from small_notebooks import write_notebook

from erlib.notebook import paths
from erlib.runs.declared import Declared
from erlib.runs.notebooks import source_hash
from erlib.runs.plan import plan


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
    expected = {"a": 1e-3, "b": [1, 2], "c": [1, None], "d": 2e-3}
    assert Declared(notebook).defaults == expected
    assert Declared(write_notebook("02_b", "a = 1")).defaults == {}


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("n = 2**5\nm = n + 1", {"n": 32, "m": 33}),
        ("a = b = 1\nc, d = 1, [2]", {"a": 1, "b": 1, "c": 1, "d": [2]}),
        ("s = list(range(3))\ns += [9]\ns.append(4)", {"s": [0, 1, 2, 9, 4]}),
        ("if True:\n    a = 1\nelse:\n    b = 2\nfor i in [1, 2]:\n    a += i", {"a": 4}),
        ("a = 1\ndel a\nb: int\nc: Path = 2", {"c": 2}),
        ("d = {'a': (1, None)}", {"d": {"a": [1, None]}}),
        # not to be told without a kernel, or no JSON
        ("import numpy as np\nx = np.pi\ny = x + 1", {"x": "np.pi", "y": "x + 1"}),
        ("cap = 1e999\nd, e = float('nan'), 5", {"cap": "1e999", "d": "float('nan')", "e": 5}),
        (
            "a = {1, 2}\nb = b'x'\nc = {1: 2}\nd = 1j",
            dict(a="{1, 2}", b="b'x'", c="{1: 2}", d="1j"),
        ),
        ("a = [1]\na.append(open)", {"a": "a.append(open)"}),
        ("a = [1, 2]\nb = 1\nprint(a)\nshuffle(a, b)", {"a": "shuffle(a, b)", "b": 1}),
        ("a = [1, 2]\nprint(a)\nlen(a)", {"a": [1, 2]}),
        ("a = [1]\na.append(a)\nb = 10**5000", {"a": "a.append(a)", "b": "10**5000"}),
        ("try:\n    import x\n    a = 1\nexcept:\n    a = 2", None),
        # lines for IPython
        ("%matplotlib inline\nn = 5\n!ls \\\n  -l\nn?", {"n": 5}),
        ("%%time\n%time n = 5\nif n:\n    %load_ext x\n    m = 1", {"n": 5, "m": 1}),
        (
            "files = !ls\nt = '''\n%x\n'''",
            {"files": "get_ipython()", "t": "\n%x\n"},
        ),
        ("%%bash\nn=5", {}),
    ],
)
def test_a_default_is_what_the_cell_leaves(place, source, values):
    found = Declared(write_notebook("01_a", parameters=source)).defaults
    assert found == (values if values is not None else {"a": source})


def test_no_python_is_named(place):
    with pytest.raises(ValueError, match=r"01_a\.ipynb: the parameters cell is no Python"):
        Declared(write_notebook("01_a", parameters="n = 5 +"))


def test_the_source_hash_is_that_of_the_code(place):
    notebook = write_notebook("01_a", "print(1)")
    before = source_hash(notebook)
    content = nbformat.read(notebook, 4)
    content.cells[1].execution_count = 1
    content.cells[1].outputs = [nbformat.v4.new_output("stream", text="1\n")]
    content.metadata.language_info = {"name": "python", "version": "3.0"}
    content.cells[0].source = "# Other prose"
    content.cells[1].source = "print( 1 )  # one"
    content.cells.append(nbformat.v4.new_markdown_cell("And more."))
    nbformat.write(content, notebook)
    assert source_hash(notebook) == before
    content.cells[1].source = "print(2)"
    nbformat.write(content, notebook)
    assert source_hash(notebook) != before
    content.cells[1].source = "print(1)"
    content.cells[1].metadata.tags = ["parameters"]
    nbformat.write(content, notebook)
    assert source_hash(notebook) != before
