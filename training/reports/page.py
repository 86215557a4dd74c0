"""One HTML page by itself: everything inline, nothing from the network, every text escaped."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5b6875; --line: #d8dee5; --back: #fff;
  --card: #f5f7f9; --accent: #1f4e79; --alarm: #9a3412; --alarm-back: #fff4ec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --soft: #9aa7b4; --line: #36414c;
  --back: #14191f; --card: #1d242c; --accent: #8fc1f0; --alarm: #fdba8c; --alarm-back: #37241a; }
  img.plot { filter: invert(1) hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--back);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.7rem; } h2 { margin: 2.2rem 0 .8rem; font-size: 1.2rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; padding: 0; list-style: none; }
.facts li { padding: .5rem .9rem; border-radius: .5rem; background: var(--card); }
.facts b { display: block; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.facts span { color: var(--soft); font-size: .85rem; }
.legend li { display: flex; align-items: center; gap: .5rem; }
.alarm { margin: .5rem 0; padding: .6rem .9rem; border-left: 4px solid var(--alarm);
  background: var(--alarm-back); }
.grid { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); }
.scroll { overflow-x: auto; }
img { display: block; max-width: 100%; height: auto; } img.plot { width: 100%; }
img.latent { max-width: 40rem; } img.stroke { width: 2.2rem; }
img.images { image-rendering: pixelated; border-radius: .3rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
td { min-width: 4.5rem; } td.value { white-space: nowrap; }
td.note { min-width: 14rem; color: var(--soft); font-size: .85rem; }
td.long, td.note, .alarm, p { overflow-wrap: anywhere; }
.best { color: var(--accent); font-weight: 700; }
code { font: .9em ui-monospace, monospace; }
"""


class Html(str):
    """Text that is HTML already; every other text is escaped."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """`value` as HTML."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def element(name: str, *content: object, css: str = "") -> Html:
    """`<name class="css">…</name>`."""
    attribute = f' class="{html.escape(css)}"' if css else ""
    inner = "".join(map(escaped, content))
    return Html(f"<{name}{attribute}>{inner}</{name}>")


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Html:
    """A table that scrolls sideways where it is too wide; the first column heads its rows."""
    head = element("tr", *(element("th", cell) for cell in header)) if header else ""
    body = [
        element("tr", element("th", first), *(_cell(cell) for cell in rest))
        for first, *rest in rows
    ]
    return element("div", element("table", head, *body), css="scroll")


def _cell(content: object) -> Html:
    is_cell = isinstance(content, Html) and content.startswith("<td")
    return Html(content) if is_cell else element("td", content)


def section(title: str, *content: object) -> Html:
    """A heading and what stands below it."""
    return element("section", element("h2", title), *content)


def image(content: bytes, kind: str, description: str, css: str) -> Html:
    """An image in the page; `kind` is its media type, `description` stands for it."""
    data = base64.b64encode(content).decode()
    return Html(
        f'<img class="{html.escape(css)}" alt="{html.escape(description)}" '
        f'src="data:{kind};base64,{data}">'
    )


def plot(figure: Figure, description: str, css: str = "plot") -> Html:
    """A drawing; black on nothing, so that the page may invert it."""
    buffer = io.BytesIO()
    # A fixed salt and no date: the same run makes the same page.
    with rc_context({"svg.hashsalt": description}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return image(buffer.getvalue(), "image/svg+xml", description, css)


def page(title: str, *body: Html) -> bytes:
    """The document. Its policy forbids whatever is not in it."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    ).encode()
