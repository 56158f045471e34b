"""The two small pages at the app's door: where to find the link, and the one that goes on into the app."""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse

_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>FairLab</title>{head}
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 12vh auto; padding: 0 1rem; }}
code {{ font-family: ui-monospace, monospace; background: #8882; border-radius: .3rem; padding: .1rem .3rem; }}
input, button {{ font: inherit; padding: .4rem .6rem; }}
input {{ width: 24rem; max-width: 100%; box-sizing: border-box; }}
</style></head><body>{body}</body></html>
"""
# A browser keeps its cookie back when a link on another site leads here. Asking once more from this page, it does not.
_AGAIN = """<script>
try {
  const now = Date.now(), last = Number(sessionStorage.getItem("fairlab asked") || 0);
  if (now - last > 5000) { sessionStorage.setItem("fairlab asked", String(now)); location.replace(location.href); }
} catch (error) { /* no storage: the page stays */ }
</script>"""


def login_page(wanted: str, wrong: bool = False) -> HTMLResponse:
    """Says where the link is; a form takes it. wanted: where to go afterwards; wrong: a token was given, and is not it."""
    why = (
        "<p><b>This link does not belong to the server that is running now</b>. It may be from an earlier start.</p>"
        if wrong
        else ""
    )
    body = f"""<h1>FairLab opens with its link</h1>{why}
<p>The terminal in which you started FairLab shows the link. <code>fairlab link</code> prints it again, on the machine and under the account that run FairLab. A browser needs the link only once.</p>
<form method="post" action="/login"><input type="hidden" name="next" value="{escape(wanted)}">
<p><label>Or paste it here:<br><input name="token" autocomplete="off" spellcheck="false" autofocus></label>
<button>Open</button></p></form>"""
    return _page(_FRAME.format(head="" if wrong else _AGAIN, body=body), 403)


def opened_page(wanted: str) -> HTMLResponse:
    """Goes on by itself. A redirect would not do: after one from elsewhere a browser keeps the new cookie back."""
    head = f'<meta http-equiv="refresh" content="0; url={escape(wanted)}">'
    return _page(_FRAME.format(head=head, body=f'<p>Opening <a href="{escape(wanted)}">FairLab</a> …</p>'), 200)


def _page(text: str, status: int) -> HTMLResponse:
    # Its own form is sent with an Origin only if the page may name itself; nothing of it reaches another site.
    headers = {"cache-control": "no-store", "referrer-policy": "same-origin"}
    return HTMLResponse(text, status, headers=headers)
