"""The reference: the directive `modules`, and links to what a room offers at its door.

    .. modules:: theory.gradient theory.overshoot

is a heading for each of these modules of `erlib`, with the docstrings of its public calls below.
"""

import sys
import types

from sphinx.util.docutils import SphinxDirective


class Modules(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        lines = []
        for module in self.arguments[0].split():
            name = module.rpartition(".")[2]
            lines += [name, "-" * len(name), "", f".. automodule:: erlib.{module}", ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def link_to_where_it_is(app, env, node, content):
    """`erlib.load` is documented where it is defined: as `erlib.data.named.load`."""
    room, _, name = node["reftarget"].rpartition(".")
    room = room or node.get("py:module") or "erlib"
    module = getattr(getattr(sys.modules.get(room), name, None), "__module__", None)
    if module:
        domain, page = env.domains.python_domain, node["refdoc"]
        return domain.resolve_xref(env, page, app.builder, "obj", f"{module}.{name}", node, content)


def skip_aliases(app, what, name, member, skip, options):
    """Types that are built of others stand in signatures, written out."""
    return True if isinstance(member, types.GenericAlias) else None


def setup(app):
    app.add_directive("modules", Modules)
    app.connect("missing-reference", link_to_where_it_is)
    app.connect("autodoc-skip-member", skip_aliases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
