"""HTML pages: Jinja2 templates that become one file each, without links."""

import base64
import functools
from typing import Any

import jinja2

from ava_jax.report import style


def render(template: str, **values: Any) -> str:
    """Fills in a template of the folder `templates`.

    Args:
      template: its file name.
      values: what it shows; texts are escaped.

    Returns:
      The page as HTML. It needs no other file and no network.
    """
    return _environment().get_template(template).render(values)


def share(value: float | None) -> str:
    """An AP or another share as text, of three digits."""
    return "n/a" if value is None else f"{value:.3f}"


def data_url(content: bytes, kind: str = "") -> str:
    """A file as an address, to be part of a page.

    Args:
      content: of the file.
      kind: e.g. 'video/mp4'; '': a PNG or JPEG picture.
    """
    is_png = content.startswith(b"\x89PNG")
    kind = kind or ("image/png" if is_png else "image/jpeg")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ava_jax.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "data_url": data_url,
        "hex": style.hex_color,
        "ink": style.ink_on,
        "share": share,
        "thousands": "{:,}".format,
    }
    # Compact, and in the order given.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment
