"""The attacks on the app's door: strangers without the link, other origins, other host names, other machines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlab.settings.user import set_user_settings
from fairlab.store.links import make_keys
from fairlab.ui.door import door
from tests.ui.asked import ADDRESS, REACHED, ask, ticket

PATHS = ("/", "/fairness?study=x", "/static/js/index.js", "/media/abc.png", "/component/x/index.html", "/api/health",
         "/api/thumb/demo/3", "/_stcore/host-config", "/_stcore/metrics", "/_stcore/upload_file/session/file")  # fmt: skip
PAGE = [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that has just started, with the configuration of nobody else."""
    monkeypatch.setenv("FAIRLAB_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("FAIRLAB_HOME", str(tmp_path / "home"))
    for name in ("FAIRLAB_TOKEN", "FAIRLAB_ALLOW_REMOTE", "FAIRLAB_ADDRESSES"):
        monkeypatch.delenv(name, raising=False)
    started()
    yield
    started()


def started() -> None:
    """The server starts again."""
    door.keys.cache_clear()
    door.reach.cache_clear()
    REACHED.clear()


def websocket(origin: str, cookie: tuple[str, str] | None = None, host: str = "127.0.0.1:8501") -> int:
    headers = [("host", host), ("origin", origin), cookie or ticket()]
    return ask("/_stcore/stream", headers, type="websocket", scheme="ws")[0]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "cookie", ["", "fairlab-8501=", "fairlab-8501=" + "0" * 64, "fairlab-8502={right}", "other={right}"]
)
def test_without_the_cookie_nothing_is_shown(path: str, cookie: str) -> None:
    given = ("cookie", cookie.format(right=door.keys().cookie(ADDRESS)))
    for method, origin in (("GET", ""), ("PUT", ADDRESS), ("POST", ADDRESS), ("DELETE", ADDRESS)):
        status, headers, _ = ask(path, [given, ("origin", origin)], method)
        assert status == 403
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert websocket(ADDRESS, given) == 403
    assert REACHED == []


def test_with_the_cookie_everything_is_shown() -> None:
    for path in ("/", "/static/js/index.js", "/media/abc.png", "/_stcore/host-config"):
        assert ask(path)[0] == 200
    assert ask("/_stcore/upload_file/session/file", [ticket(), ("origin", ADDRESS)], "PUT")[0] == 200
    assert websocket(ADDRESS) == 101


def test_whether_the_server_lives_may_be_asked_without_the_cookie() -> None:
    assert ask("/_stcore/health", [])[0] == 200
    assert ask("/_stcore/health", [("host", "evil.example")])[0] == 403


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:9999", "http://127.0.0.1:3000", "http://127.0.0.1", "https://127.0.0.1:8501", "https://localhost",
     "http://localhost:8501", "http://0.0.0.0:8501", "null", "", "http://evil.example", "http://127.0.0.1:8501.evil.example",
     "http://127.0.0.1:8501/", "HTTP://127.0.0.1:8501", "http://user@127.0.0.1:8501", "http://[::1]:8501", "file://"],
)  # fmt: skip
def test_only_the_apps_own_origin_opens_a_websocket_or_changes_anything(origin: str) -> None:
    """Also with the cookie: browsers send it to every port of a host. No Origin at all is refused too."""
    assert websocket(origin) == 403
    for method in ("PUT", "POST", "DELETE"):
        assert ask("/_stcore/upload_file/session/file", [ticket(), ("origin", origin)], method)[0] == 403
    assert ask("/api/health", [ticket(), ("origin", origin)])[0] == (403 if origin else 200)
    assert REACHED == []


def test_two_origins_are_none() -> None:
    headers = [ticket(), ("origin", ADDRESS), ("origin", "http://evil.example")]
    assert ask("/_stcore/stream", headers, type="websocket", scheme="ws")[0] == 403


@pytest.mark.parametrize("host", ["localhost:8501", "127.0.0.1:8501", "[::1]:8501"])
def test_each_name_of_this_machine_is_an_origin_of_its_own(host: str) -> None:
    address = f"http://{host}"
    assert websocket(address, ticket(address), host) == 101
    assert ask("/", [("host", host), ticket(address)])[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8501", "127.0.0.1.evil.example:8501", "192.168.1.7:8501", "localhost", "127.0.0.1",
     "127.0.0.1:9999", "localhost.:8501", "0.0.0.0:8501", "2130706433:8501", "127.0.0.1:8501@evil.example", "127.0.0.1:08501"],
)  # fmt: skip
def test_another_host_name_or_port_is_refused(host: str) -> None:
    """DNS rebinding ends here; the answer says what is right."""
    status, headers, body = ask("/", [("host", host), ticket()])
    assert status == 403
    assert b"http://127.0.0.1:8501" in body
    assert "default-src 'self'" in headers["content-security-policy"]
    assert websocket(f"http://{host}", None, host) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_embeds_nothing_and_may_only_lead_here(site: str) -> None:
    """A page on another port of localhost is the "same site", and browsers send it the cookie's requests along."""
    for headers in (
        [("sec-fetch-dest", "image"), ("sec-fetch-mode", "no-cors")],
        [("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")],
    ):
        assert ask("/api/health", [ticket(), ("sec-fetch-site", site), *headers])[0] == 403
    assert ask("/", [ticket(), ("sec-fetch-site", site), *PAGE])[0] == 200
    assert ask("/x", [ticket(), ("sec-fetch-site", site), ("origin", ADDRESS), *PAGE], "POST")[0] == 403


def test_the_link_gives_the_cookie_and_leads_to_where_one_wanted() -> None:
    """HttpOnly, SameSite=Strict, named for the port; the secret is in no further address."""
    token = door.keys().token
    status, headers, body = ask(f"/login?token={token}&next=/fairness%3Fstudy%3Da%26x%3D1", [])
    assert status == 200
    cookie = headers["set-cookie"]
    assert cookie.startswith("fairlab-8501=")
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert token not in cookie
    assert b"url=/fairness?study=a&amp;x=1" in body
    assert token.encode() not in body
    assert headers["cache-control"] == "no-store"
    assert ask("/", [("cookie", cookie.partition(";")[0])])[0] == 200


@pytest.mark.parametrize(
    "where",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "\t//evil", "/a\r\nx: y"],
)
def test_the_link_leads_nowhere_else(where: str) -> None:
    from urllib.parse import quote

    body = ask(f"/login?token={door.keys().token}&next={quote(where)}", [])[2]
    assert re.findall(r'url=([^"]*)"', body.decode()) == ["/"]


@pytest.mark.parametrize(
    "token",
    ["", "x", "%00", "a" * 9000, "%ff%fe", "é", "http://[::1?token=x", "//[?", "?token=", "%ed%a0%80", "?" * 900],
)
def test_a_wrong_link_opens_nothing_and_says_where_the_right_one_is(token: str) -> None:
    status, headers, body = ask(f"/login?token={token}&next=/%22%3E%3Cscript%3E", PAGE)
    assert status == 403
    assert "set-cookie" not in headers
    assert b"fairlab link" in body
    assert b'"><script>' not in body


def test_a_link_may_be_pasted_into_the_form() -> None:
    """The page at the door keeps where one wanted to go; the whole link or its token alone will do."""
    page = ask("/compare?study=a&b=c", PAGE)
    assert (page[0], b'value="/compare?study=a&amp;b=c"' in page[2]) == (403, True)
    token, own = door.keys().token, ("origin", ADDRESS)
    for text in (token, f" http%3A%2F%2F127.0.0.1%3A8501%2Flogin%3Ftoken%3D{token} "):
        status, headers, body = ask("/login", [own], "POST", f"token={text}&next=%2Fcompare%3Fstudy%3Da".encode())
        assert (status, "set-cookie" in headers, b"url=/compare?study=a" in body) == (200, True, True)
    assert ask("/login", [("origin", "null")], "POST", f"token={token}".encode())[0] == 403
    assert ask("/login", [own], "POST", b"token=" + b"x" * 5000)[0] == 413


def test_the_cookie_outlives_the_server_and_the_link_does_not() -> None:
    """Tabs and bookmarks live on; a link in an old terminal is dead."""
    cookie, token = ticket(), door.keys().token
    started()
    assert ask("/", [cookie])[0] == 200
    assert ask(f"/login?token={token}", [])[0] == 403


def test_a_cookie_is_for_one_address_and_one_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = door.keys().cookie(ADDRESS)
    assert (
        ask("/", [("host", "127.0.0.1:8502"), ("cookie", f"fairlab-8502={value}")], server=("127.0.0.1", 8502))[0]
        == 403
    )
    monkeypatch.setenv("FAIRLAB_CONFIG", str(tmp_path / "another user's"))
    started()
    assert ask("/", [("cookie", f"fairlab-8501={value}")])[0] == 403


def test_a_container_brings_its_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """FAIRLAB_TOKEN is the link's secret, also after the container was made anew; a short one is refused."""
    from fairlab.errors import FairLabError

    monkeypatch.setenv("FAIRLAB_TOKEN", "correct horse battery")
    started()
    cookie = ask("/login?token=correct+horse+battery", [])[1]["set-cookie"].partition(";")[0]
    monkeypatch.setenv("FAIRLAB_CONFIG", str(tmp_path / "new"))
    started()
    assert ask("/", [("cookie", cookie)])[0] == 200
    monkeypatch.setenv("FAIRLAB_TOKEN", "short")
    with pytest.raises(FairLabError, match="16 printable characters"):
        make_keys()


def test_on_the_lan_nothing_is_served_unless_the_user_allowed_it() -> None:
    """Host: localhost on a LAN address least of all; with the switch the address itself, and what was named."""
    lan = {"server": ("192.168.1.7", 8501), "client": ("192.168.1.8", 5000)}
    for host in ("192.168.1.7:8501", "localhost:8501", "127.0.0.1:8501"):
        assert ask("/", [("host", host), ticket(f"http://{host}")], **lan)[0] == 403
    set_user_settings({"app.remote": True, "app.addresses": ["https://lab.example.org"]})
    started()
    for host in ("localhost:8501", "127.0.0.1:8501", "evil.example:8501"):
        assert ask("/", [("host", host), ticket(f"http://{host}")], **lan)[0] == 403
    assert ask("/", [("host", "192.168.1.7:8501")], **lan)[0] == 403, "the secret is wanted there too"
    assert ask("/", [("host", "192.168.1.7:8501"), ticket("http://192.168.1.7:8501")], **lan)[0] == 200
    behind = "https://lab.example.org"
    headers = [("host", "lab.example.org"), ticket(behind), ("origin", behind)]
    assert ask("/_stcore/stream", headers, type="websocket", scheme="ws", **lan)[0] == 101
    given = ask(f"/login?token={door.keys().token}", [("host", "lab.example.org")], **lan)[1]["set-cookie"]
    assert "Secure" in given


def test_every_answer_has_the_headers() -> None:
    """Errors, refusals and a route that breaks included; the policy names this place only, and nobody may frame the app."""
    for path, headers in (
        ("/api/health", None), ("/nowhere", None), ("/breaks", None), ("/login", []), ("/", []), ("/", PAGE),
        ("/api/thumb/x/" + "1" * 4301, None), ("/", [("host", "evil.example")]),
    ):  # fmt: skip
        status, answer, body = ask(path, headers)
        policy = answer["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http://" not in policy
        assert "*" not in policy
        wanted = {
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
            "x-frame-options": "DENY",
        }
        assert {name: answer[name] for name in wanted} == wanted
        assert answer["referrer-policy"] in ("no-referrer", "same-origin")
        assert b"Traceback" not in body
        assert (status == 500) == (path == "/breaks")
