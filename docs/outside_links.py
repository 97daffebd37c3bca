"""A hook of MkDocs: what a page links to outside of docs/ is no page of the site, so its path is named."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:|#)([^)#\s]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page with links that lead out of docs/ written as `path`."""
    folder = posixpath.dirname(page.file.src_uri)

    def written(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        return link[0] if target.startswith("docs/") else f"{link[1]} (`{target}`)"

    return _LINK.sub(written, markdown)
