"""No line ends within a number and what belongs to it: 1.5 ± 0.7 points, 98 %."""

import re

from docutils import nodes

LITERAL = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)


def hold_together(text):
    return re.sub(r"(?<=\d) (?=[%±])|(?<=±) (?=\d)", "\N{NO-BREAK SPACE}", text)


def hold_numbers_together(app, doctree):
    for text in list(doctree.findall(nodes.Text)):
        held = hold_together(text)
        if held != text and not isinstance(text.parent, LITERAL):
            text.parent.replace(text, nodes.Text(held))


def setup(app):
    app.connect("doctree-read", hold_numbers_together)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
