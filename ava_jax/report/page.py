"""Renders Jinja2 templates to HTML pages, each a single file without links."""

import base64
import functools
from typing import Any

import jinja2

from ava_jax.report import style


def render(template: str, **values: Any) -> str:
    """Renders a template of the folder `templates`.

    Args:
      template: file name of the template.
      values: variables of the template; text is escaped.

    Returns:
      The page as HTML. It needs no other file and no network.
    """
    return _environment().get_template(template).render(values)


def share(value: float | None) -> str:
    """Formats an AP or another share with three digits."""
    return "n/a" if value is None else f"{value:.3f}"


def data_url(content: bytes, kind: str = "") -> str:
    """Encodes a file as a data URL, to embed it in a page.

    Args:
      content: contents of the file.
      kind: media type, such as 'video/mp4'; '' for a PNG or JPEG file.
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
    # Compact, and without Jinja2's sorting of keys.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment
