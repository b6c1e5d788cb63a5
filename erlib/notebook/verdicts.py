"""Leave out the asserts of a notebook: its verdicts are about its defaults, not about every point.

Loaded by the kernel of a run with ``--no-verdicts``. Asserts of libraries, and of erlib, stay.
"""

import ast

#: What such a kernel executes before its first cell.
LEAVE_OUT = (
    f"from {__name__} import WithoutAsserts; "
    "get_ipython().ast_transformers.append(WithoutAsserts())"
)


class WithoutAsserts(ast.NodeTransformer):
    """Puts ``pass`` where an assert was.

    >>> ast.unparse(WithoutAsserts().visit(ast.parse("if x:\\n    assert y, 'why'\\nz = 1")))
    'if x:\\n    pass\\nz = 1'
    """

    def visit_Assert(self, node: ast.Assert) -> ast.Pass:
        return ast.copy_location(ast.Pass(), node)
