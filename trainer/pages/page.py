"""Self-contained HTML pages, from the templates in `templates/`.

    render("report.html", title="Run runs/imdb", rows=rows)

A page holds its style and scripts and loads nothing. Templates escape what they are given, except
for `Markup`. Those that extend base.html fill the blocks `title` and `main`.
"""

import functools
from typing import Any

import jinja2


def render(template: str, **values: Any) -> str:
    """Returns the page that a template makes of the values."""
    return environment(__package__).get_template(template).render(**values)


@functools.cache
def environment(package: str) -> jinja2.Environment:
    """Returns what opens the templates in a package's folder `templates`."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
