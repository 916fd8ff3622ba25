"""MNIST Dash: draw a digit, see which model answered, roll the new model out. `streamlit run app.py`."""

import streamlit as st

from mnist_dash.panels import call_it, dialogs, header, history, look, objects, rollout, shared, work
from mnist_dash.panels.known import Known

if __name__ == "app":  # imported once, by the server; for each visitor it then runs this file as a script
    shared.start()
    app = st.App(__file__, lifespan=shared.lifespan, on_script_error=shared.tell_unforeseen)
else:
    st.set_page_config("MNIST Dash", page_icon=look.favicon(), layout="wide")
    dash = shared.for_visitor(shared.dashboard_or_stop())
    known = Known.from_snapshot(dash.snapshot(), in_cluster=dash.in_cluster)

    header.show(dash)
    main, side = st.columns([700, 390], gap="medium")
    with main:
        work.draw_and_ask(dash, known)
    with side:
        rollout.roll_out(dash, known)

    below = st.tabs(["History", "Objects", "Call it"], key="below", on_change="rerun")
    for tab, panel in zip(below, (history, objects, call_it), strict=True):
        if tab.open:
            with tab:
                panel.show(dash)

    dialogs.show_open(dash)
