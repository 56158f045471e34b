"""`fairlab app`: start the server on this machine's loopback address, as `streamlit run app.py` does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from fairlab.errors import FairLabError
from fairlab.files import app_root
from fairlab.workspace import Workspace


def serve(workspace: Workspace, port: int, browser: bool) -> int:
    """Run the app until it is closed. Raises FairLabError when the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise FairLabError(
                f"port {port} is in use, perhaps by another FairLab; choose another with --port {port + 1}"
            ) from error
    root = app_root()
    command = [sys.executable, "-m", "streamlit", "run", str(root / "app.py"), "--server.port", str(port)]
    if not browser:
        command += ["--server.headless", "true"]
    environment = {**os.environ, "FAIRLAB_HOME": str(workspace.home)}
    if os.name != "nt":  # the server takes this process's place, so that whatever ends the one ends the other
        os.chdir(root)
        sys.stdout.flush()
        os.execve(sys.executable, command, environment)  # noqa: S606 - no shell, a fixed program
    process = subprocess.Popen(command, env=environment, cwd=root)
    try:
        return process.wait()
    finally:
        process.terminate()
