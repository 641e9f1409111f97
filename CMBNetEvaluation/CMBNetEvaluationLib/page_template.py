"""The HTML of an evaluation report, as a jinja2 template; `report_page` fills it."""

from __future__ import annotations

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body{font:15px/1.45 system-ui,sans-serif;max-width:64rem;margin:1.5rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ccc}h3{font-size:1rem}
table{border-collapse:collapse;margin:.5rem 0}
td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #e4e4e4}
td{white-space:nowrap}td:first-child,th:first-child{text-align:left}.note{color:#555;font-size:.88rem}
.figures img,.wide img{max-width:100%}
.figures{display:flex;flex-wrap:wrap;gap:1rem}.figures figure{margin:0;flex:1 1 28rem}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(21.5rem,1fr));gap:.8rem}
.gallery figure{margin:0;font-size:.82rem}.gallery img{width:100%}
.warning{background:#fff4d6;padding:.4rem .8rem}.p{color:#b8740a}.r{color:#1f7fb5}
</style></head><body>
<h1>{{ title }}</h1>
<p class="note">Created {{ created }}. For research use only. Intervals: 95 %, bootstrap over subjects;
Wilson intervals in square brackets. A dash means that the figure is not defined on these data.</p>
{% if problems %}<div class="warning">
<strong>{{ problems|length }} remark{{ "" if problems|length == 1 else "s" }} on the input</strong><ul>
{% for problem in problems %}<li>{{ problem.scan_id }}: {{ problem.message }}</li>{% endfor %}</ul></div>{% endif %}
{% for section in sections %}<h2>{{ section.title }}</h2>
{% if section.note %}<p class="note">{{ section.note }}</p>{% endif %}
{% for table in section.tables %}{% if table.title %}<h3>{{ table.title }}</h3>{% endif %}
<table><thead><tr>
{% for name in table.columns %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in table.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% endfor %}
{% if section.figures %}<div class="figures">{% for figure in section.figures %}
<figure>
<img alt="{{ figure.name }}" src="data:image/png;base64,{{ figure.data }}"></figure>{% endfor %}</div>{% endif %}
{% endfor %}
<h2>Methods</h2><p>{{ methods }}</p>
{% for group in galleries %}<h2>{{ group.title }}</h2>
<p class="note">Axial, coronal, sagittal; 30 mm. <span class="p">Orange: prediction</span>,
<span class="r">blue: reference</span>. The patient's right is on the left. {{ group.note }}</p>
<div class="gallery">{% for entry in group.entries %}<figure>
<img alt="{{ entry.text }}" src="data:image/png;base64,{{ entry.data }}">
<figcaption>{{ entry.text }}</figcaption></figure>
{% endfor %}</div>{% endfor %}
</body></html>
"""
