"""Everything that knows Streamlit, besides the pages themselves: frame/ and judge/ are shared, every other folder belongs to one page.

door/ is the app's HTTP side, before any page. May import everything but cli/; a page's folder imports frame/ and judge/, and another
page's only where it shows a part of it. To add a page: pages/NAME.py of 60 lines at most (choose, fetch, show), its folder here, and one
`st.Page` line in frame/main.py.
"""
