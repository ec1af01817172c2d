"""Settings of the site: Sphinx with MyST pages and the Furo theme. `make site` calls it; nothing is fetched."""

import re

from genre.version import __version__

project, author, copyright = "GENRE", "The GENRE contributors", "The GENRE contributors"  # noqa: A001
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
include_patterns = ["index.md", "README*.md", "C*.md", "SECURITY.md"]
include_patterns += ["docs/**", "reference/**", "benchmarks/*.md", "examples/*/*.md"]
html_theme = "furo"
html_title = f"GENRE {__version__}"
html_copy_source = False
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nitpicky = False
suppress_warnings = ["myst.header"]  # a page may begin with its second level
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_use_ivar = True

SECTION = re.compile(r"(Args|Attributes|Example|Raises|Returns|Yields):$")


def literal_formulas(app, what, name, obj, options, lines):
    """Mark what is indented in the prose of a docstring as literal: formulas keep their stars and bars."""
    out, prose, inside = [], True, False
    for line in lines:
        prose = prose and not SECTION.match(line)
        indented = prose and line.startswith("    ")
        if indented and not inside:
            out += ["::", ""]
        inside = indented or (inside and not line)
        out.append(line.replace("|", "\\|") if prose and not indented else line)
    lines[:] = out


def setup(app):
    """Run before napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", literal_formulas, priority=400)
