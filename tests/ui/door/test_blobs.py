"""Binary answers that pages prepare."""

from collections import OrderedDict
from hashlib import sha256

import pytest

from fairlab.ui.door import blobs


def test_an_address_is_a_hash_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same content has the same address; what is offered again stays."""
    monkeypatch.setattr(blobs, "_kept", OrderedDict())
    monkeypatch.setattr(blobs, "MOST_BYTES", 10)
    first, second = blobs.offer(b"1111"), blobs.offer(b"2222")
    assert first == f"/api/blob/{sha256(b'1111').hexdigest()}" == blobs.offer(b"1111")
    third = blobs.offer(b"3333")
    assert [f"/api/blob/{name}" for name in blobs._kept] == [first, third]
    assert second not in (first, third)
