"""The app: `streamlit run app.py` or `python app.py`. A launcher, so that every page's link works on a fresh server."""

import os
from pathlib import Path

import streamlit as st

from fairlab.ui.door import server

os.umask(0o077)  # what the app writes is its user's alone
app = st.App(
    Path(server.__file__).parents[1] / "frame" / "main.py",  # in a wheel this file lies elsewhere
    routes=server.ROUTES,
    middleware=server.MIDDLEWARE,
    lifespan=server.lifespan,
)

if __name__ == "__main__":
    app.run()
