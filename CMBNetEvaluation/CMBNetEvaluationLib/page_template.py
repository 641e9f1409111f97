"""The HTML of the pages, as a jinja2 template; `report_page` and `reader_study_page` fill it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from CMBNetLib.wording import number_of

# Below this the percentile bootstrap is known to give intervals that are too narrow.
_FEW_SUBJECTS = 20

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:1.5rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ccc}h3{font-size:1rem}
nav{font-size:.88rem;margin-bottom:.8rem}nav a{margin-right:.9rem;white-space:nowrap}.lead{font-size:1.05rem}
.row{display:flex;flex-wrap:wrap;gap:1.5rem;align-items:flex-start}.tables{max-width:100%;overflow-x:auto}
table{border-collapse:collapse;margin:.5rem 0}
td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #e4e4e4}
td{white-space:nowrap}.dense td,.dense th{padding:.15rem .4rem;font-size:.8rem}
td:first-child,th:first-child{text-align:left}.note{color:#555;font-size:.88rem}
.figures img{max-width:100%}
.figures{display:flex;flex-wrap:wrap;gap:1rem;flex:1 1 26rem}.figures figure{margin:0;flex:1 1 26rem;max-width:36rem}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(21.5rem,1fr));gap:.8rem}
.gallery figure{margin:0;font-size:.82rem}.gallery img{width:100%}
.warning{background:#fff4d6;padding:.4rem .8rem}.p{color:#b8740a}.r{color:#1f7fb5}
</style></head><body>
<h1>{{ title }}</h1>
<p class="note">Created {{ created }}. For research use only.</p>
{% if lead %}<p class="lead">{{ lead }}</p>{% endif %}
<p class="note">{{ rule }}</p>
<p class="note">Intervals are of 95 %: by bootstrap over subjects; in square brackets from the counts alone (Wilson for
proportions, exact Poisson for rates), which takes lesions as independent and is all there is where every draw of
subjects gives the same. {{ caution }} A dash means that the figure is not defined on these data.</p>
<nav>{% for section in sections %}<a href="#s{{ loop.index }}">{{ section.title }}</a> {% endfor %}
<a href="#methods">Methods</a> {% for group in galleries %}<a href="#g{{ loop.index }}">{{ group.title }}</a>
{% endfor %}</nav>
{% if problems %}<div class="warning">
<strong>{{ problems|length }} remark{{ "" if problems|length == 1 else "s" }} on the input</strong><ul>
{% for problem in problems %}<li>{{ problem.scan_id }}: {{ problem.message }}</li>{% endfor %}</ul></div>{% endif %}
{% for section in sections %}<h2 id="s{{ loop.index }}">{{ section.title }}</h2>
{% if section.note %}<p class="note">{{ section.note }}</p>{% endif %}
<div class="row"><div class="tables{{ " dense" if section.dense }}">
{% for table in section.tables %}{% if table.title %}<h3>{{ table.title }}</h3>{% endif %}
<table><thead><tr>
{% for name in table.columns %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in table.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% endfor %}</div>
{% if section.figures %}<div class="figures">{% for figure in section.figures %}
<figure>
<img alt="{{ figure.name }}" src="data:image/png;base64,{{ figure.data }}"></figure>{% endfor %}</div>{% endif %}
</div>
{% endfor %}
<h2 id="methods">Methods</h2><p>{{ methods }}</p>
{% for group in galleries %}<h2 id="g{{ loop.index }}">{{ group.title }}</h2>
<p class="note">Axial, coronal, sagittal; 30 mm. <span class="p">Orange: prediction</span>,
<span class="r">blue: reference</span>. The patient's right is on the left. {{ group.note }}</p>
<div class="gallery">{% for entry in group.entries %}<figure>
<img alt="{{ entry.text }}" src="data:image/png;base64,{{ entry.data }}">
<figcaption>{{ entry.text }}</figcaption></figure>
{% endfor %}</div>{% endfor %}
</body></html>
"""


def section(
    title: str,
    tables: Sequence[Mapping[str, Any]],
    figures: Mapping[str, bytes] | None = None,
    wanted: Sequence[str] = (),
    note: str = "",
    dense: bool = False,
) -> dict[str, Any]:
    """A section of a page; of the ``figures``, PNG by name, those that are ``wanted`` and there.

    ``dense`` is for tables of many columns.
    """
    known = figures or {}
    pictures = [{"name": name, "data": base64_text(known[name])} for name in wanted if name in known]
    return {"title": title, "tables": tables, "figures": pictures, "note": note, "dense": dense}


def base64_text(data: bytes) -> str:
    """For the address of a picture inside the page."""
    return base64.b64encode(data).decode("ascii")


def render(
    title: str,
    created: str,
    *,
    sections: Sequence[Mapping[str, Any]],
    methods: str,
    rule: str,
    n_subjects: int,
    problems: Sequence[Mapping[str, str]] = (),
    lead: str = "",
    galleries: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page as text.

    Parameters
    ----------
    lead
        The result in one sentence.
    rule
        The matching rule in words.
    """
    from jinja2 import Environment

    few = f"With only {number_of(n_subjects, 'subject')} those by bootstrap tend to be too narrow."
    template = Environment(autoescape=True, trim_blocks=True).from_string(PAGE)
    return template.render(
        title=title, created=created, problems=problems, sections=sections, methods=methods, galleries=galleries,
        lead=lead, rule=rule, caution=few if n_subjects < _FEW_SUBJECTS else "",
    )  # fmt: skip
