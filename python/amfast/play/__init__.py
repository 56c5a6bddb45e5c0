"""One page in which pictures are stored, spoilt and recalled: a single file without network.

`page` writes it down as text, `write` to a file. Beside this stand the page's own parts: its frame
``page.html``, ``style.css``, and scripts that a browser runs one after the other. What is computed
here and carried in the page are the pictures (`pictures`) and what theory says of capacities
(`curves`).
"""

from amfast.play.writer import page, write

__all__ = ["page", "write"]
