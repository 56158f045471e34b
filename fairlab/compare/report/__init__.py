"""A report of one or more models on one list of pairs, to be printed or handed on: what is said, and its three forms.

content.py gathers the sections, html.py, markdown.py and (Report.as_json) write them. A section is added in content.SECTIONS.
"""
