"""Alternative texts for the pictures of notebooks, which have none.

A heading of a notebook says what was found, and the code of a figure names its axes: together they
say what a picture shows. A cell may say it better, in its metadata: `mystnb.image.alt`.
"""

import ast
import re

from docutils import nodes

LABEL = re.compile(r"""\b(title|xlabel|ylabel)=(f?)(["'])(.*?)\3""")


def alternative(heading, code):
    """What a picture below this heading, drawn by this code, shows.

    >>> alternative("Fields grow", 'axes.set(xlabel="updates", ylabel="size")')
    'Fields grow (size; updates)'
    >>> alternative("Fields grow", "draw()")
    'Fields grow'
    """
    labels = [text for _, formatted, _, text in LABEL.findall(code) if not (formatted and "{" in text)]
    return f"{heading} ({'; '.join(dict.fromkeys(labels))})" if labels else heading


def add_alternatives(app, doctree):
    for image in doctree.findall(nodes.image):
        cell = image.parent
        while cell is not None and "cell" not in cell.get("classes", ()):
            cell = cell.parent
        if cell is None or image.get("alt"):
            continue
        section = cell
        while not isinstance(section, nodes.section):
            section = section.parent
        code = "".join(block.astext() for block in cell.findall(nodes.literal_block))
        image["alt"] = alternative(section[0].astext(), code)


def setup(app):
    app.connect("doctree-read", add_alternatives)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
