"""MNIST Dash: draw a digit, see which model answered, roll the new model out. `streamlit run app.py`."""

import streamlit as st

from mnist_dash.panels import api_tab, dialogs, history, lifecycle, objects, predict, rollout, theme
from mnist_dash.panels.predict import Known

if __name__ == "app":  # imported once, by the server; for each visitor it then runs this file as a script
    lifecycle.start()
    app = st.App(__file__, lifespan=lifecycle.lifespan, on_script_error=lifecycle.tell_unforeseen)
else:
    st.set_page_config("MNIST Dash", page_icon=theme.favicon(), layout="wide")
    dash = lifecycle.for_visitor(lifecycle.dashboard_or_stop())
    known = Known.from_snapshot(dash.snapshot(), in_cluster=dash.in_cluster)

    theme.show(dash)
    main, side = st.columns([700, 390], gap="medium")
    with main:
        predict.draw_and_ask(dash, known)
    with side:
        rollout.roll_out(dash, known)

    below = st.tabs(["History", "Objects", "Call it"], key="below", on_change="rerun")
    for tab, panel in zip(below, (history, objects, api_tab), strict=True):
        if tab.open:
            with tab:
                panel.show(dash)

    dialogs.show_open(dash)
