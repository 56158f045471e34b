"""Tables to figures: plotly only, no Streamlit, so that a notebook draws what the app shows."""
