"""The app: `streamlit run app.py` or `python app.py`. A launcher, so that every page's link works on a fresh server."""

import os
from pathlib import Path

import streamlit as st

from fairlab.ui.server import MIDDLEWARE, ROUTES, lifespan

os.umask(0o077)  # what the app writes is its user's alone
app = st.App(
    Path(__file__).parent / "fairlab" / "ui" / "main.py", routes=ROUTES, middleware=MIDDLEWARE, lifespan=lifespan
)

if __name__ == "__main__":
    app.run()
