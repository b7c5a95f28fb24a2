"""How Sphinx makes the site of these pages: `make docs`.

Settings alone. With `--fail-on-warning` a page that is in no part of index.md fails the build, and
so does a link without its page or heading.
"""

project = "ovs-metadata"
extensions = ["myst_parser"]
# The templates that docs/generate.py and the bench fill.
exclude_patterns = ["**/*.in.md", "*.in.md"]

# As GitHub names headings, so that one link leads to them there and here.
myst_heading_anchors = 6

# Most blocks are a terminal's; those in a language say which.
highlight_language = "none"

# `--check` is no dash.
smartquotes = False

html_theme = "alabaster"
html_theme_options = {
    "page_width": "1160px",
    "sidebar_width": "240px",
    "fixed_sidebar": True,
    "font_family": "sans-serif",
    "head_font_family": "sans-serif",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
