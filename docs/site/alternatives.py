"""Alternative texts for the pictures of notebooks, which have none.

A heading of a notebook says what was found, and the code of a figure names its axes: together they
say what a picture shows. A cell may say it better, in its metadata (`mystnb.image.alt`).
"""

import re

from docutils import nodes

#: Texts in the code of a figure; one with a placeholder in it is left out.
LABEL = re.compile(r"""\b(?:title|xlabel|ylabel)=f?(["'])([^{}]*?)\1""")


def alternative(heading, code):
    """What a picture below this heading, drawn by this code, shows.

    >>> alternative("Fields grow", 'axes.set(xlabel="updates", ylabel="size", title=f"{n} units")')
    'Fields grow (updates; size)'
    >>> alternative("Fields grow", "draw()")
    'Fields grow'
    """
    labels = "; ".join(dict.fromkeys(text for _, text in LABEL.findall(code)))
    return f"{heading} ({labels})" if labels else heading


def add_alternatives(app, doctree):
    for cell in doctree.findall(lambda node: "cell" in node.get("classes", ()) if isinstance(node, nodes.Element) else False):
        pictures = [image for image in cell.findall(nodes.image) if not image.get("alt")]
        if not pictures:
            continue
        section = cell.parent
        while not isinstance(section, nodes.section):
            section = section.parent
        code = "\n".join(block.astext() for block in cell.findall(nodes.literal_block))
        for image in pictures:
            image["alt"] = alternative(section[0].astext(), code)


def setup(app):
    app.connect("doctree-read", add_alternatives)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
