"""The rooms of the package, and what may import what: read from the sources."""

import ast

import pytest

from erlib.notebook.paths import ROOT

PACKAGE = ROOT / "erlib"
#: For each room, the others that it may import; "" is the science, flat at the top.
MAY_IMPORT = {
    "": {"baselines", "data"},
    "theory": {""},
    "inference": {""},
    "baselines": {""},
    "data": {"notebook"},
    "notebook": set(),
    "studies": {"", "baselines", "data", "inference", "notebook", "theory"},
    "runs": {"notebook", "data"},
}
#: Modules of the top that any room may use: they say how far something is, and where it is found.
COMMON = {"clock", "progress", "__init__"}


def room(module):
    """The room of a module by its path below the package, in parts."""
    return module[0] if len(module) > 1 or (PACKAGE / module[0]).is_dir() else ""


def imports(file):
    """What a file imports of erlib, each by its path below the package, in parts."""
    package = file.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            base += tuple(node.module.split(".")) if node.module else ()
            is_package = (PACKAGE.joinpath(*base)).is_dir()
            for name in node.names:
                inside = (*base, name.name)
                found = PACKAGE.joinpath(*inside)
                if is_package and (found.is_dir() or found.with_suffix(".py").is_file()):
                    yield inside
                else:
                    yield base or ("__init__",)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = (
                [node.module] if isinstance(node, ast.ImportFrom) else [n.name for n in node.names]
            )
            for name in names:
                if name.split(".")[0] == "erlib":
                    yield tuple(name.split(".")[1:]) or ("__init__",)


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_a_room_imports_only_what_it_may(file):
    own = room(file.relative_to(PACKAGE).with_suffix("").parts)
    if file.name in ("__init__.py", "__main__.py") and own == "":
        return  # the door: it names what is inside
    for module in imports(file):
        if module[-1] in COMMON:
            continue
        assert room(module) == own or room(module) in MAY_IMPORT[own], f"imports {'.'.join(module)}"


def test_science_needs_neither_notebooks_nor_runs():
    science = {"", "theory", "inference", "baselines"}
    for own in science:
        assert not MAY_IMPORT[own] & {"notebook", "runs"}
    assert not MAY_IMPORT["runs"] & science and not MAY_IMPORT["notebook"] & science
    assert {room(file.relative_to(PACKAGE).with_suffix("").parts) for file in FILES} == set(
        MAY_IMPORT
    )
