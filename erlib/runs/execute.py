"""One notebook in a kernel of its own."""

import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpecManager
from jupyter_core.paths import jupyter_runtime_dir
from jupyter_core.utils import ensure_dir_exists
from nbformat import NotebookNode
from papermill.iorw import LocalHandler, papermill_io

from ..notebook import paths
from .notebooks import cells, first_line, parameter_cells

# Verdicts are about the defaults, and need not hold at other points. Asserts of libraries stay.
_WITHOUT_ASSERTS = """
import ast

class WithoutAsserts(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)

get_ipython().ast_transformers.append(WithoutAsserts())
"""


class _Files(LocalHandler):
    """Writes notebooks with half a character in them, as names of files can have."""

    def write(self, buf: str, path: str) -> None:
        super().write(buf.encode("utf-8", "backslashreplace").decode("utf-8"), path)


papermill_io.register("/", _Files())  # what absolute paths begin with


class NotebookFailed(Exception):
    """A notebook did not run to its end; says in which cell and why.

    ``started`` tells whether the kernel had started, and with it the first cell.
    """

    def __init__(self, cell: int | str, line: str, name: str, message: str) -> None:
        super().__init__(f"In [{cell}]  {line}\n{name}: {message}")
        self.started = cell != 0


def execute(
    notebook: Path,
    output: Path,
    *,
    parameters: dict[str, Any],
    variables: dict[str, Any],
    timeout: float | None,
    verdicts: bool = True,
    cell_started: Callable[[int, int, str], object],
) -> NotebookNode:
    """Execute ``notebook`` into ``output`` with papermill and return it; raise NotebookFailed.

    With ``parameters``, papermill replaces the cell that it injected into the notebook before: what
    that one set, they set too. ``variables`` are set in the environment of the kernel alone, which
    leaves out asserts unless ``verdicts``. ``cell_started`` is called with the number of each cell,
    how many there are, and its first line.
    """
    before = next((assigned for injected, assigned in parameter_cells(notebook) if injected), None)
    n_cells = sum(_is_code(cell) for cell in cells(notebook))
    if parameters:
        n_cells += before is None
        parameters = {name: each.carried for name, each in (before or {}).items()} | parameters
    number, line = 0, "starting the kernel"

    def note(cell: NotebookNode, cell_index: int) -> None:
        nonlocal number, line
        number, line = number + 1, first_line(cell.source)
        cell_started(number, n_cells, line)

    try:
        executed = papermill.execute_notebook(
            *(str(path).replace("{", "{{").replace("}", "}}") for path in (notebook, output)),
            parameters,
            kernel_name=NATIVE_KERNEL_NAME,
            language="python",
            kernel_manager_class=_kernel_with(variables, verdicts),
            cwd=notebook.parent,
            execution_timeout=timeout,
            progress_bar=False,
            on_cell_execute=note,
        )
    except papermill.PapermillExecutionError as error:
        failed = _failing_line(error)
        raise NotebookFailed(error.exec_count, failed, error.ename, error.evalue) from None
    except Exception as error:  # timeout, death of the kernel, and whatever else there is
        name, message = type(error).__name__, first_line(str(error))
        if timeout and name == "CellTimeoutError":
            message = f"the cell ran longer than {timeout:g} s"
        raise NotebookFailed(number, line, name, message) from None
    for position, cell in enumerate(executed.cells):
        skipped = "skip-execution" in cell.metadata.get("tags", [])
        if _is_code(cell) and not cell.execution_count and not skipped:
            # papermill takes sys.exit(0) for success
            message = f"cell {position} and those after it were never executed"
            raise NotebookFailed(number, line, "stopped early", message)
    return executed


def _failing_line(error: papermill.PapermillExecutionError) -> str:
    """The line of the cell that raised, as IPython's traceback points at it with an arrow."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error.traceback))
    pointed = re.search(r"^-+> *\d+ (.*)$", plain, re.MULTILINE)
    return pointed[1].strip() if pointed else first_line(error.source)


def _is_code(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _kernel_with(variables: dict[str, Any], verdicts: bool) -> type[AsyncKernelManager]:
    """A kernel manager that starts the interpreter running erlib, whatever a kernelspec says.

    The variables go straight to the kernel's process, so none can leak into this one.
    """
    env = dict(os.environ)
    if env.get("ERLIB_DATA"):  # the kernel starts in another folder
        env["ERLIB_DATA"] = str(Path(env["ERLIB_DATA"]).expanduser().resolve())
    if paths.ROOT == Path(__file__).parents[2]:  # this checkout, installed or not
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(paths.ROOT), env.get("PYTHONPATH")]))
    env |= {name: str(value) for name, value in variables.items()}
    # Over TCP the kernel warns that it is not encrypted, and ports can be taken twice.  Sockets are
    # named after the connection file, or else all alike in the current folder, where kernels of two
    # runs at once would meet.  A path must be short, though: about 100 characters with that name.
    short = os.name == "posix" and len(jupyter_runtime_dir()) < 48
    ensure_dir_exists(jupyter_runtime_dir(), mode=0o700)

    class Kernel(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            options["kernel_spec_manager"] = KernelSpecManager(kernel_dirs=[])  # our own alone
            options["transport"] = "ipc" if short else "tcp"
            options["connection_file"] = f"{jupyter_runtime_dir()}/kernel-{uuid.uuid4()}.json"
            super().__init__(**options)

        async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
            if not verdicts:
                line = f"exec({_WITHOUT_ASSERTS!r}, {{'get_ipython': get_ipython}})"
                options["extra_arguments"] = [f"--IPKernelApp.exec_lines={line}"]
            return await super().start_kernel(env=env, **options)

    return Kernel
