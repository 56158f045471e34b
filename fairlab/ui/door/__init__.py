"""The HTTP side, before Streamlit: who may ask, from which address, with which cookie; faces as small pictures."""
