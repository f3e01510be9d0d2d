"""Starts both halves and asks each of their ports, over IPv6 alone."""

import contextlib
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

PATIENCE = 60
# Not the one that every machine has: pods are asked at an address of their own.
POD = "fd00::1"


def ask(url):
    """The body of an answer with status 200."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
    with urllib.request.build_opener(*handlers).open(url, timeout=5) as answer:
        return answer.read().decode()


def wait_for(what, url, text):
    """Asks until the answer has a line `text`."""
    start, last = time.monotonic(), None
    while time.monotonic() - start < PATIENCE:
        try:
            last = ask(url)
            if text in last.splitlines():
                print(f"ok: {what}")
                return
        except OSError as error:
            last = error
        time.sleep(0.2)
    sys.exit(f"FAILED: {what}: {url}: {last}")


def main():
    frontend, scraper = sys.argv[1:]
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 1), timeout=1):
        sys.exit("FAILED: there is IPv4")
    folder = pathlib.Path(tempfile.mkdtemp())
    kubeconfig = folder / "kubeconfig"
    # Nobody listens there; nothing that is asked for here needs it.
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'http://[::1]:1'}}]\n"
        "users: [{name: u, user: {}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
    )
    commands = [
        [
            frontend,
            f"--kubeconfig={kubeconfig}",
            "--secure-port=10250",
            "--bus-address=0.0.0.0:8443",
            "--bus-insecure",
            "--authentication-skip-lookup",
        ],
        [
            scraper,
            f"--kubeconfig={kubeconfig}",
            "--admin-address=0.0.0.0:8080",
            f"--frontend=http://[{POD}]:8443",
            "--bus-insecure",
            "--source-name=scraper",
            "--shard-index=0",
            "--shard-count=1",
        ],
    ]
    logs = [folder / "frontend.log", folder / "scraper.log"]
    running = [
        subprocess.Popen(command, stdout=log.open("wb"), stderr=subprocess.STDOUT)
        for command, log in zip(commands, logs)
    ]
    try:
        wait_for("the API", f"https://[{POD}]:10250/livez", "ok")
        wait_for("the scraper's own port", f"http://[{POD}]:8080/livez", "ok")
        connected = "tributary_bus_frontends_connected 1"
        wait_for("the bus", f"http://[{POD}]:8080/metrics", connected)
    except SystemExit:
        for log in logs:
            print(f"== {log.name}\n{log.read_text()}")
        raise
    finally:
        for process in running:
            process.kill()
            process.wait()
    print("ipv6: 3 passed, 0 failed")


main()
