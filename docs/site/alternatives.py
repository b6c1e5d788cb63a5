"""Alternative texts for the pictures of notebooks, which have none.

A heading of a notebook says what was found, and the code of a figure names its axes: together they
say what a picture shows. A cell may say it better, in its metadata (`mystnb.image.alt`).
"""

import re

from docutils import nodes

#: Texts in the code of a figure; one with a placeholder in it is left out.
LABEL = re.compile(r"""\b(?:title|xlabel|ylabel)=f?(["'])([^{}]*?)\1""")


def alternative(heading, code):
    """What a picture below this heading, drawn by this code, shows."""
    found = [text.replace("\\n", " ").replace("$", "") for _, text in LABEL.findall(code)]
    labels = "; ".join(dict.fromkeys(found))
    return f"{heading}: {labels}" if labels else heading


def add_alternatives(app, doctree):
    for section in doctree.findall(nodes.section):
        heading, *parts = section.children
        for cell in parts:
            pictures = [image for image in cell.findall(nodes.image) if not image.get("alt")]
            code = "\n".join(block.astext() for block in cell.findall(nodes.literal_block))
            for image in pictures if not isinstance(cell, nodes.section) else ():
                image["alt"] = alternative(heading.astext(), code)


def setup(app):
    app.connect("doctree-read", add_alternatives)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
