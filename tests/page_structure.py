"""The tags of a page, to see that no text of a user becomes one."""

import html.parser

# Ends attributes, elements and scripts where it is not escaped.
HOSTILE = """"'></title></script><script>alert("1")</script>&quot; onload=x <b>"""


class _Tags(html.parser.HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, [name for name, _ in attributes]))

    def handle_endtag(self, tag):
        self.found.append((f"/{tag}", []))


def structure(page: str) -> list[tuple[str, list[str]]]:
    """Every tag with the names of its attributes, in order."""
    return _Tags(page).found
