"""How Sphinx builds the site: `sphinx-build -W -b html docs site`, without network."""

import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from docutils.nodes import SkipNode
from docutils.utils.math import latex2mathml

import amfast
import amfast.sklearn  # noqa: F401  (SciPy must not see the stand-in for torch below)

HERE = Path(__file__).parent

project = "amfast"
copyright = "the authors of amfast"
version = release = amfast.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["gallery", "_templates"]
templates_path = ["_templates"]
default_role = "py:obj"
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# What torch, polars and dask bring is large, and only their names are needed here.
autodoc_mock_imports = ["torch", "polars", "dask"]
autodoc_typehints = "none"
autodoc_member_order = "groupwise"
toc_object_entries_show_parents = "hide"
autosummary_generate = True
autosummary_ignore_module_all = False
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "amfast"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = [name for name in ["play.html"] if (HERE / name).exists()]
html_sidebars = {name: [] for name in ["index", "start", "papers", "speed"]}
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": [],
}

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "matplotlib_animations": (True, "jshtml"),
    "download_all_examples": False,
    "show_signature": False,
    "only_warn_on_example_error": False,
    "abort_on_example_error": True,
    "min_reported_time": 1,
    "backreferences_dir": None,
    "show_memory": False,
}

APPLIED = r"<mo>&ApplyFunction;</mo>(?!\s*<mo)"

PLAY = '<p><a href="play.html">Draw, spoil and recall in the browser</a></p>\n'

STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.cmap": "gray",
}


def draw_memories(app):
    """Run the block below "Picture" on every page of a memory, and keep what it draws."""
    folder = HERE / "memories" / "pictures"
    folder.mkdir(exist_ok=True)
    for page in sorted((HERE / "memories").glob("*.md")):
        picture, text = folder / f"{page.stem}.png", page.read_text("utf-8")
        newest = max(page.stat().st_mtime, Path(amfast.__file__).stat().st_mtime)
        if f"pictures/{page.stem}.png" not in text or (
            picture.exists() and picture.stat().st_mtime > newest
        ):
            continue
        below = text.partition("\n## Picture\n")[2]
        block = below.partition("```python\n")[2].partition("\n```")[0]
        with matplotlib.rc_context(STYLE | {"backend": "agg"}):
            drawn = {}
            exec(compile(block, str(page), "exec"), drawn)
            drawn["figure"].savefig(picture)
            plt.close("all")


def mathml(block):
    """Formulas as MathML, which browsers draw themselves: no script, nothing to fetch."""

    def visit(writer, node):
        tex = node.astext()
        if block and ("\\\\" in tex or "&" in tex) and "\\begin" not in tex:
            tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
        drawn = latex2mathml.tex2mathml(tex, as_block=block)
        # A function and an argument without brackets: ln N, not lnN.
        drawn = re.sub(APPLIED, '<mspace width="0.17em"></mspace>', drawn)
        writer.body.append(f'<div class="formula">{drawn}</div>' if block else drawn)
        raise SkipNode

    return visit


def inside(app, name, source):
    """Point links that leave `docs/` at pages of the site, and the first one at `play.html`."""
    source[0] = source[0].replace("](../benches/README.md)", "](speed.md)")
    if name == "index" and html_extra_path:
        source[0] = source[0].replace("% play\n", PLAY)


def undocumented(app, what, name, found, skip, options):
    """Leave out what scikit-learn adds to every estimator for its metadata routing."""
    return True if re.fullmatch(r"set_\w+_request|get_metadata_routing", name) else None


def setup(app):
    """Say who is asked when; Sphinx calls it."""
    app.connect("autodoc-skip-member", undocumented)
    app.connect("builder-inited", draw_memories)
    app.connect("source-read", inside)
    app.add_html_math_renderer("mathml", (mathml(False), None), (mathml(True), None))
