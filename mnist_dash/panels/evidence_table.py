"""In the dialog that promotes: what is known of both models, side by side, and what it means."""

from __future__ import annotations

from html import escape
from typing import Final

import streamlit as st

from mnist_dash import charts
from mnist_dash.disagreements import Disagreements
from mnist_dash.domain import Deployment, Role
from mnist_dash.panels.session import Dialog
from mnist_dash.panels.theme import plain, shortened
from mnist_dash.promotion_review import PromotionReview
from mnist_dash.service import Dashboard
from mnist_dash.traffic import RoleTraffic

REFRESH_SECONDS: Final = 1.0
SYMBOL: Final = {Role.CURRENT: "●", Role.NEW: "▲"}
STYLE: Final = f"""<style>
.st-key-review {{ container-type: inline-size; }}
.st-key-review table {{ width: 100%; table-layout: fixed; border-collapse: collapse; margin: 0; }}
.st-key-review td, .st-key-review th {{
  padding: 2px 4px; border: none; text-align: left; vertical-align: top; font-weight: 400; line-height: 1.3;
  overflow-wrap: anywhere; font-variant-numeric: tabular-nums;
}}
.st-key-review .names {{ width: 30%; }}
.st-key-review th[scope=row] {{ font-size: 0.875rem; padding: 6px 0 0; }}
.st-key-review td b {{ font-size: 1.375rem; }}
.st-key-review th[scope=col] {{ font-size: 1.125rem; font-weight: 650; }}
.st-key-review small {{ display: block; font-size: 0.8125rem; min-height: 1.3em; }}
.st-key-review i {{ font-style: normal; }}
.st-key-review .current i {{ color: {charts.COLOUR[Role.CURRENT]}; }}
.st-key-review .new i {{ color: {charts.COLOUR[Role.NEW]}; }}
.st-key-remarks p {{ font-size: 1.125rem; line-height: 1.4; }}
@container (max-width: 420px) {{ .st-key-remarks p {{ font-size: 1rem; min-height: 2.8em; }} }}
</style>"""
"""Every cell keeps its lines while its figures are on their way, so that nothing moves."""


def show(dash: Dashboard, dialog: Dialog) -> None:
    """Show the figures, which follow the traffic and the search for disagreements."""
    with st.container(key="review", gap="xsmall"):
        st.html(STYLE)
        st.fragment(_show_figures, run_every=REFRESH_SECONDS)(dash, dialog)


def _show_figures(dash: Dashboard, dialog: Dialog) -> None:
    # A search that failed is tried again by the next dialog, not by every refresh of this one.
    review = dash.review_promotion(retry=not dialog.is_under_review)
    dialog.is_under_review = True
    st.html(draw_table(review))
    with st.container(key="remarks", gap=None):
        for remark in review.remarks:
            if remark.is_warning:
                st.markdown(f":red[:material/warning: **{plain(remark.text)}**]")
            else:
                st.markdown(f":material/check: {plain(remark.text)}")


def draw_table(review: PromotionReview) -> str:
    """Return a table with a column for each model."""
    models = {Role.CURRENT: review.current, Role.NEW: review.new}
    heads = "".join(_draw_head(role, model) for role, model in models.items())
    accuracies = "".join(f"<td>{_draw_accuracy(model)}</td>" for model in models.values())
    traffic = "".join(f"<td>{_draw_traffic(review.traffic[role])}</td>" for role in models)
    unknown = f"{_count_errors(review.unknown_errors)}, unknown model" if review.unknown_errors else ""
    return (
        f'<table><tr><th class="names"></th>{heads}</tr>'
        f'<tr><th scope="row">Accuracy</th>{accuracies}</tr>'
        f'<tr><th scope="row">Agreement</th><td colspan="2">{_draw_agreement(review.disagreements)}</td></tr>'
        f'<tr><th scope="row">Answers<small>{unknown}</small></th>{traffic}</tr></table>'
    )


def _draw_head(role: Role, model: Deployment | None) -> str:
    name = escape(shortened(model.name, 20)) if model else "nothing"
    return f'<th scope="col" class="{role}"><i>{SYMBOL[role]}</i> {name}<small>{role.label}</small></th>'


def _draw_accuracy(model: Deployment | None) -> str:
    if not model or model.accuracy is None:
        return f"<b>-</b><small>{'unchecked' if model else ''}</small>"
    return f"<b>{charts.percent(model.accuracy)}</b><small>of {model.digits:,} digits</small>"


def _draw_agreement(search: Disagreements) -> str:
    if search.problem:
        return f'<b title="{escape(search.problem)}">-</b><small>unknown: a model did not answer</small>'
    if search.agreement is None:
        return "<b>-</b><small>asking both models</small>"
    so_far = "" if search.is_finished else " so far"
    return f"<b>{charts.percent(search.agreement)}</b><small>of {search.asked:,} digits{so_far}</small>"


def _draw_traffic(figures: RoleTraffic) -> str:
    right = f"{charts.percent(figures.right / figures.labelled)} right" if figures.labelled else ""
    return f"<b>{figures.answers:,}</b><small>{right}</small><small>{_count_errors(figures.errors)}</small>"


def _count_errors(count: int) -> str:
    return "1 error" if count == 1 else f"{count:,} errors"
