"""The template of the weekly page."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fairtime: week of {{ week.first }}</title>
<style>
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5a6678; --paper: #fbfaf7; --card: #fff; --line: #dfe3ea;
  --use: #1f6feb; --beyond: #b4400a; --budget: #9aa5b5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --soft: #a3afc0; --paper: #12161d; --card: #1b212b;
  --line: #323b49; --use: #6aa5ff; --beyond: #ff9a62; --budget: #75829a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; } h2 { font-size: 1.6rem; margin: 0; } h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); } .big { font-size: 2.4rem; font-weight: 700; line-height: 1.1; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.2rem; margin-top: 1.2rem; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .22rem .4rem .22rem 0; text-align: left; font-weight: 400;
  vertical-align: middle; } td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; padding-right: 0; }
th.day { width: 6.5rem; } svg { display: block; width: 100%; height: 18px; } ul { margin: .2rem 0; padding-left: 1.1rem; }
.heat { display: grid; grid-template-columns: 3rem repeat(24, 1fr); gap: 1px; font-size: .7rem; color: var(--soft); }
.heat i { display: block; height: 14px; background: var(--line); border-radius: 2px; } .heat b { font-weight: 400; }
.note { border-left: 4px solid var(--beyond); padding-left: .7rem; }
@media print { body { background: #fff; } section { break-inside: avoid; border-color: #bbb; } }
@media (max-width: 30rem) { th.day { width: 3.4rem; } .long { display: none; } .heat { display: none; } }
</style>
</head>
<body>
<main>
<h1>The week from {{ week.first }} to {{ week.last }}{% if week.in_progress %} <span class="soft">(not over yet)</span>{% endif %}</h1>
{% if week.protection %}
<p class="soft">This PC: {{ week.protection }}.</p>
{% endif %}
{% for note in week.notes %}
<p class="note">{{ note }}</p>
{% endfor %}
{% for child in week.children %}
<section aria-labelledby="child-{{ loop.index }}">
<h2 id="child-{{ loop.index }}">{{ child.child }}</h2>
<p><span class="big">{{ child.total | words }}</span> counted this week,
 {{ child.before | words }} the week before.</p>
{% if child.extra %}
<p>{{ child.extra | words }} of it was extra time from a guardian.</p>
{% endif %}
{% if child.free %}
<p>{{ child.free | words }} more did not count (learning, free hours).</p>
{% endif %}
{% if child.prompts %}
<h3>To talk about</h3>
<ul>
{% for prompt in child.prompts %}
<li>{{ prompt.text }} <span class="soft">({{ prompt.fact }})</span></li>
{% endfor %}
</ul>
{% endif %}
<h3>Day by day</h3>
<table>
{% for day in child.days %}
{% set b = bar(day, child.days) %}
<tr><th class="day" scope="row">{{ day.name[:3] }}<span class="long">{{ day.name[3:] }}</span></th>
<td>{% if day.future %}<span class="soft">still to come</span>{% else %}<svg viewBox="0 0 100 18" preserveAspectRatio="none" role="img" aria-label="{{ day.seconds | words }}{% if day.budget is not none %} of {{ day.budget | words }}{% endif %}">
<rect x="0" y="3" width="{{ b.within }}" height="12" fill="var(--use)"/>
<rect x="{{ b.within }}" y="3" width="{{ b.beyond }}" height="12" fill="var(--beyond)"/>
{% if day.budget is not none %}<rect x="{{ [b.budget - 0.4, 0] | max }}" y="0" width="0.6" height="18" fill="var(--budget)"/>{% endif %}
</svg>{% endif %}</td>
<td class="n">{% if not day.future %}{{ day.seconds | words }}{% if day.budget is not none %} <span class="soft">of {{ day.budget | words }}</span>{% endif %}{% if day.extra %} <span class="soft">+{{ day.extra | words }} extra</span>{% endif %}{% if day.over %} over{% endif %}{% endif %}</td></tr>
{% endfor %}
</table>
{% macro parts(title, rows) %}
{% if rows %}
<h3>{{ title }}</h3>
<table>
{% for part in rows %}
<tr><td>{{ part.title }}</td><td class="n">{{ part.seconds | words }}</td></tr>
{% endfor %}
</table>
{% endif %}
{% endmacro %}
{{ parts("Programs", child.programs) }}
{{ parts("Groups", child.groups) }}
{{ parts("Sites with minutes of their own", child.site_limits) }}
{{ parts("Sites", child.sites) }}
{% if child.sites %}
<p class="soft">Minutes in which each was asked for; one page may ask for several. Help lines are never recorded.</p>
{% endif %}
<h3>Time of day</h3>
<div class="heat" role="img" aria-label="Use by hour of the day">
<span></span>{% for hour in range(24) %}<b>{{ hour if hour % 6 == 0 else "" }}</b>{% endfor %}
{% for hours in child.hours %}<span>{{ child.days[loop.index0].name[:3] }}</span>{% for minutes in hours %}<i title="{{ minutes }} min"{% if minutes %} style="background: var(--use); opacity: {{ [0.25 + minutes / 80, 1] | min | round(2) }}"{% endif %}></i>{% endfor %}{% endfor %}
</div>
{% macro lines(title, rows) %}
{% if rows %}
<h3>{{ title }}</h3>
<ul>
{% for line in rows %}
<li><span class="soft">{{ line.day }}</span> {{ line.text }}{% if line.count > 1 %} <span class="soft">({{ line.count }} times)</span>{% endif %}</li>
{% endfor %}
</ul>
{% endif %}
{% endmacro %}
{{ lines("Asked", child.requests) }}
{{ lines("Given", child.grants) }}
{{ lines("Not allowed", child.blocked) }}
{{ lines("Sites that are not open", child.blocked_sites) }}
{{ lines("Worth knowing", child.notable) }}
</section>
{% endfor %}
{% if week.machine %}
<section><h3>About this PC</h3><ul>
{% for line in week.machine %}
<li><span class="soft">{{ line.day }}</span> {{ line.text }}{% if line.count > 1 %} ({{ line.count }} times){% endif %}</li>
{% endfor %}
</ul></section>
{% endif %}
<p class="soft">Guardian and child see the same page. It never leaves this PC by itself.</p>
</main>
</body>
</html>
"""
