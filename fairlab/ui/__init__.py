"""Everything that knows Streamlit, besides the pages themselves."""
