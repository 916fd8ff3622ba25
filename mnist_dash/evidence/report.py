"""A canary check as an HTML page that needs no other file and no network, and prints on two pages."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Final

from mnist_dash.domain import Role
from mnist_dash.evidence import figures_html
from mnist_dash.evidence.figures import CheckFigures, rank_disagreements, summarize

if TYPE_CHECKING:
    from mnist_dash.evidence.canary_check import CanaryCheck

GALLERY: Final = 15
"""Pictures that fit the second page."""
STYLE: Final = """<style>
:root { color-scheme: light; }
body {
  font: 14px/1.4 system-ui, sans-serif; color: #12151a; max-width: 180mm; margin: 24px auto; padding: 0 12px;
}
h1 { font-size: 16px; margin: 0 0 12px; }
h2 { font-size: 15px; margin: 16px 0 4px; }
.columns { display: flex; flex-wrap: wrap; gap: 8px 24px; }
.columns > * { flex: 1 1 280px; min-width: 0; }
.check-figures .terms th, .check-figures .terms td {
  text-align: left; vertical-align: top; overflow-wrap: anywhere;
}
.check-figures .terms th { white-space: nowrap; color: #5b626e; }
.gallery {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 8px; font-size: 12px;
}
pre { background: #f3f4f7; padding: 8px; font-size: 12px; white-space: pre-wrap; margin: 4px 0; }
@page { size: A4; margin: 12mm; }
@media print {
  body { margin: 0; padding: 0; }
  .check-figures { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  .check-figures .evidence { height: 200px; }
  .details { break-before: page; }
}
</style>"""
REPEAT: Final = """from mnist_dash import {imported}, open_dashboard

with open_dashboard(Settings()) as dash:  # with these two models deployed
    dash.wait_settled()
    check = dash.check_canary({digits}level={level:g}, margin={margin:g}{source})
    print(check.verdict)"""
METHOD: Final = (
    "Both models answered the same digits. If they are equally good, each digit that only one of them gets"
    " right falls to either like a coin. The evidence against that is an e-value, which holds after every"
    " digit (Ville 1939; Howard, Ramdas, McAuliffe and Sekhon 2021): two equal models are ever called"
    " different with a probability of at most the level. The interval of the difference holds at any moment."
)


def to_html(check: CanaryCheck) -> str:
    """Return the report: on the first page the decision and its evidence, on the second how it came about."""
    figures, setup = summarize(check), check.setup
    names = {role: setup.of(role).name for role in Role}
    title = f"Canary check: {names[Role.NEW]} as New against {names[Role.CURRENT]} as Current"
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"{figures_html.STYLE}{STYLE}</head><body>"
        + figures_html.wrap(
            f"<h1>{escape(title)}</h1>",
            figures_html.draw_verdict(check),
            f"<p>{escape(figures_html.describe_progress(check))}</p>",
            "<h2>Evidence</h2>",
            figures_html.draw_evidence(figures.evidence, check.options.terms.level),
            "<h2>The two models</h2>",
            figures_html.draw_models(figures, names),
            figures_html.draw_difference(figures, check.options.terms.margin),
            figures_html.draw_notes(figures),
            "<h2>The check</h2>",
            _draw_terms(check),
            _draw_details(check, figures),
        )
        + "</body></html>"
    )


def _draw_terms(check: CanaryCheck) -> str:
    options, setup = check.options, check.setup
    terms, guard = options.terms, options.guard
    limits = [
        f"{guard.error_rate * 100:g} % of its requests fail" if guard.error_rate is not None else "",
        f"its p95 exceeds {guard.p95:g} ms" if guard.p95 is not None else "",
    ]
    limit = " or ".join(filter(None, limits))
    rows = {
        "Started": f"{datetime.fromtimestamp(check.started_at, UTC):%d %B %Y, %H:%M:%S} UTC"
        + (f", by {check.by}" if check.by else ""),
        **{
            role.label: f"{setup.of(role)}, release {setup.of(role).release}: {setup.of(role).base}"
            for role in Role
        },
        "Split": f"{setup.split} % of the requests to New",
        "Digits": f"{options.source.value}, "
        f"{'until there is a verdict' if options.digits is None else 'a fixed number'}, "
        f"at most {check.planned:,}, in the order of seed {options.seed}, {options.concurrency} at a time",
        "Level, margin": f"{terms.level * 100:g} %, {terms.margin * 100:g} points",
        "Guard": f"ends the check if more than {limit}" if limit else "off",
    }
    cells = "".join(
        f'<tr><th scope="row">{name}</th><td>{escape(text)}</td></tr>' for name, text in rows.items()
    )
    return f'<table class="terms">{cells}</table>'


def _draw_details(check: CanaryCheck, figures: CheckFigures) -> str:
    confusions = "".join(
        f"<div><p>{role.label}: digit down, answer across</p>"
        f"{figures_html.draw_confusion(figures.models[role])}</div>"
        for role in Role
    )
    differing = rank_disagreements(check.rows)
    names = {role: check.setup.of(role).name for role in Role}
    pictures = "".join(figures_html.draw_digit(check, row, names) for row in differing[:GALLERY])
    terms = check.options.terms
    digits = f"{check.options.digits}, " if check.options.digits else ""
    source, imported = "", "Settings"
    if (kind := check.options.source) is not type(kind).MNIST:
        source, imported = f", source=DigitSource.{kind.name}", "DigitSource, Settings"
    repeat = REPEAT.format(
        digits=digits, level=terms.level, margin=terms.margin, source=source, imported=imported
    )
    return (
        '<div class="details"><h2>Which digits each model takes for which</h2>'
        f'<div class="columns">{confusions}</div>'
        f"<h2>Where they differ: {len(differing)} of {len(check.rows):,} digits</h2>"
        f'<div class="gallery">{pictures}</div>'
        f"<h2>How to read it</h2><p>{METHOD}</p>"
        f"<h2>How to repeat it</h2><pre>{escape(repeat)}</pre></div>"
    )
