"""`python -m tests.install`: what the tests need besides Python. A Chromium, as root or not; a Slurm where that may be.

Chromium, in this order: one that is there; Debian's package as root or through sudo; the same package unpacked into
.browser/ for a user who may not install (with the libraries it needs, from the same archive). Slurm (3 MB) only as
Debian's packages, as root or through sudo: its daemons want root, so tests/queue/engines/test_slurm.py is skipped elsewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.slurm_cluster import missing

ROOT = Path(__file__).resolve().parent.parent
OWN = ROOT / ".browser"
SLURM = ("slurmctld", "slurmd", "slurm-client", "munge")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Path of a Chromium, or None."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    own = OWN / "chromium"
    return str(own) if own.exists() else None


def apt(*arguments: str, sudo: bool = False) -> None:
    command = ["apt-get", *arguments]
    subprocess.run(
        ["sudo", "-n", *command] if sudo else command,
        check=True,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )


def may_install() -> bool:
    """As root, or through a sudo that asks nothing?"""
    if shutil.which("apt-get") is None:
        return False
    sudo = shutil.which("sudo") is not None
    return os.geteuid() == 0 or (sudo and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0)


def install_system(*packages: str) -> None:
    sudo = os.geteuid() != 0
    apt("update", "-qq", sudo=sudo)
    apt("install", "-y", "-qq", "--no-install-recommends", *packages, sudo=sudo)


def install_own() -> None:
    """Unpack Debian's chromium and what it depends on into .browser/, without any right to install."""
    lists, packages = OWN / "lists", OWN / "packages"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    packages.mkdir(exist_ok=True)
    here = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={OWN}", "-o", "Debug::NoLocking=1"]
    subprocess.run(["apt-get", *here, "update", "-qq"], check=True)
    plan = subprocess.run(
        ["apt-get", *here, "install", "-s", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    wanted = sorted(set(re.findall(r"^Inst (\S+)", plan, re.M)))
    subprocess.run(["apt-get", *here, "download", "-qq", *wanted], check=True, cwd=packages)
    for package in sorted(packages.glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(package), str(OWN / "root")], check=True)
    root = OWN / "root"
    folders = sorted({str(library.parent) for part in ("usr/lib", "lib") for library in (root / part).rglob("*.so*")})
    fonts = OWN / "fonts.conf"
    fonts.write_text(
        f"<fontconfig><dir>/usr/share/fonts</dir><dir>{root}/usr/share/fonts</dir><cachedir>{OWN}/fonts</cachedir></fontconfig>\n"
    )
    start = OWN / "chromium"
    start.write_text(
        f'#!/bin/sh\nLD_LIBRARY_PATH="{":".join(folders)}" FONTCONFIG_FILE="{fonts}" '
        f'exec "{root}/usr/lib/chromium/chromium" "$@"\n'
    )
    start.chmod(0o755)


def slurm() -> str:
    """Slurm's packages, installed now where that is possible; in words, as the tests do without where it is not."""
    why = missing()
    if why and may_install():
        try:
            install_system(*SLURM)
        except (OSError, subprocess.CalledProcessError) as error:
            return f"none, tests/queue/engines/test_slurm.py is skipped: {error}"
        why = missing()
    return f"none, tests/queue/engines/test_slurm.py is skipped: {why}" if why else "there"


def main() -> int:
    found = find()
    if found is None and shutil.which("apt-get") is None:
        print(
            "no Chromium found and no apt-get to install it: install Chromium or Chrome, then run this again",
            file=sys.stderr,
        )
        return 1
    if found is None:
        if may_install():
            install_system("chromium", "fonts-dejavu-core")
        else:
            install_own()
        found = find()
    print(f"Slurm for the tests: {slurm()}")
    print(f"browser for the tests: {found}")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
