"""Fixtures of the packaging layer: the certificates of one TLS world."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.certificates import Authority, KeyPair


@dataclass(frozen=True)
class TlsWorld:
    """Who trusts whom: controller and switch share an authority, the stranger has another one."""

    authority: Path
    controller: KeyPair
    switch: KeyPair
    stranger: KeyPair


@pytest.fixture(scope="session")
def tls_world(tmp_path_factory: pytest.TempPathFactory) -> TlsWorld:
    """Keys and certificates in a folder of their own."""
    folder = tmp_path_factory.mktemp("tls")
    ours = Authority(folder / "ours", "authority")
    theirs = Authority(folder / "theirs", "authority")
    return TlsWorld(
        authority=ours.certificate,
        controller=ours.issue("controller"),
        switch=ours.issue("switch"),
        stranger=theirs.issue("stranger"),
    )
