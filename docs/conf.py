"""How Sphinx builds these pages; run by `nox -s docs`, where a warning is an error."""

from benchmark import __version__

project = "bench"
author = "The bench authors"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = f"bench {release}"
html_copy_source = False

# Docstrings are prose with `names` in backticks, read in the source more often than here.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints = "description"
autodoc_preserve_defaults = True
# The machine that builds these pages may have no network, so other projects' types are not linked. Ours are: names
# that Sphinx writes for us, type variables and aliases aside.
nitpick_ignore_regex = [("py:.*", r"(?!benchmark\.).*"), ("py:.*", r"benchmark\.registry\.[PT]")]
