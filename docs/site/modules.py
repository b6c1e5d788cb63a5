"""The directive `modules`: the public calls of each module named, under a heading of its own."""

from sphinx.util.docutils import SphinxDirective


class Modules(SphinxDirective):
    """`.. modules:: theory.gradient theory.overshoot`, in words of `erlib`."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        lines = []
        for module in self.arguments[0].split():
            name = module.rpartition(".")[2]
            lines += [name, "-" * len(name), "", f".. automodule:: erlib.{module}", ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app):
    app.add_directive("modules", Modules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
