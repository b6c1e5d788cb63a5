"""The site, for Sphinx: the pages that GitHub shows, as they are, and the reference.

    make site      # into site/html

The root of the repository is the folder of sources, so that links between README, `docs/` and
`notebooks/` are the same here and on GitHub. Notebooks are shown as they are committed, not run.
"""

import shutil
import sys
from pathlib import Path

import erlib

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "erlib"
author = "the erlib authors"
copyright = f"2026, {author}. MIT licence"
version = release = erlib.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc"]
extensions += ["modules", "alternatives", "spaces"]  # of this folder
root_doc = "README"
include_patterns = ["*.md", "data/README.md", "docs/**", "notebooks/*.ipynb"]
exclude_patterns = [".*", "docs/site", "runs", "site"]

# ---- pages and notebooks ------------------------------------------------------------------------

nb_execution_mode = "off"
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"
nb_ipywidgets_js = {}  # no notebook has widgets, and these would come from elsewhere
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3  # as GitHub makes them

# ---- reference ----------------------------------------------------------------------------------

default_role = "py:obj"
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    # what scikit-learn adds to its estimators, with links into its own pages
    "exclude-members": "set_fit_request,set_partial_fit_request,set_score_request",
}
add_module_names = False
maximum_signature_line_length = 88
numpydoc_show_class_members = False  # autodoc shows them, each with its docstring

# ---- appearance ---------------------------------------------------------------------------------

html_theme = "furo"
html_title = "Multiplicative Learning"
html_favicon = "icon.svg"
html_static_path = ["site.css", "../../site/node_modules/mathjax/es5/tex-svg-full.js"]
html_css_files = ["site.css"]
mathjax_path = "tex-svg-full.js"  # one file, fonts included: formulas need no network
html_show_sourcelink = False
html_copy_source = False


def add_contents(app, docname, source):
    """README has no list of all pages for Sphinx: it stands in contents.md."""
    if docname == root_doc:
        source[0] += (HERE / "contents.md").read_text("utf-8")


def open_at_the_front_page(app, exception):
    """Browsers that are given a folder open its index.html."""
    if exception is None:
        shutil.copyfile(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app):
    app.connect("source-read", add_contents)
    app.connect("build-finished", open_at_the_front_page)
