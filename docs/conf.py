"""Settings of Sphinx: ``make docs`` builds the pages of this folder as HTML."""

from __future__ import annotations

import pereggrn_data

project = "pereggrn-data"
author = "The pereggrn-data authors"
project_copyright = "The pereggrn-data authors"
version = release = pereggrn_data.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
html_static_path = ["_static"]
html_css_files = ["pages.css"]
source_suffix = {".md": "myst-nb"}

# Links to headings of other pages, as GitHub makes them.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

# Pages with code cells are run whenever they are built; a cell that fails fails the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_show_tb = True
# What libraries say of the machine that builds the pages is not for their readers.
nb_output_stderr = "remove"
nb_execution_timeout = 600

autosummary_generate = True
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "sphinx_book_theme"
html_title = f"pereggrn-data {version}"
html_theme_options = {"show_toc_level": 2, "home_page_in_toc": True}
