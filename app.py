"""MNIST Dash: draw a digit, see which model answered, roll the new model out. `streamlit run app.py`."""

import streamlit as st

from mnist_dash.panels import (
    address,
    api_tab,
    canary_tab,
    dialogs,
    history,
    lifecycle,
    models,
    objects,
    predict,
    theme,
)

if __name__ == "app":  # imported once, by the server; for each visitor it then runs this file as a script
    lifecycle.listen_on_localhost()
    lifecycle.start()
    app = st.App(__file__, lifespan=lifecycle.lifespan, on_script_error=lifecycle.show_unexpected_error)
else:
    st.set_page_config("MNIST Dash", page_icon=theme.favicon(), layout="wide")
    dash = lifecycle.dashboard_or_stop()
    snapshot = dash.snapshot()

    theme.show_header(dash.gateway.url, (*snapshot.notices, *address.open_once()))
    with st.container(horizontal=True, gap="medium", key="page"):
        with st.container(key="main"):
            predict.draw_and_ask(dash, snapshot)
        with st.container(key="side"):
            models.show(dash, snapshot)

    below = st.tabs(["Canary check", "History", "Objects", "Call it"], key="below", on_change="rerun")
    for tab, panel in zip(below, (canary_tab, history, objects, api_tab), strict=True):
        if tab.open:
            with tab:
                panel.show(dash)

    dialogs.show_open(dash)
