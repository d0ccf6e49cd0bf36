# SPDX-License-Identifier: MIT
"""Does nginx with two workers serve as without us, although it uses SIGUSR1 itself?

Context: test. nginx reopens its logs on SIGUSR1 (master and workers), so with the default signal
both must happen; with MOONHEAP_SIGNAL=RTMIN+2 it has no part in it. Oracles: the files served,
wrk's own error counts, and a server without Moonheap.
"""

import os
import re

import service
from harness import Program, check, main, signal, until
from service import LOOK, connect, free_port, need, signal_under_load

CONFIG = """
daemon off;
worker_processes 2;
error_log error.log notice;
pid nginx.pid;
{user}
events {{ worker_connections 256; }}
http {{
    access_log access.log;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    gzip on; gzip_min_length 100; gzip_types text/plain;
    server {{
        listen 127.0.0.1:{port};
        root .;
        location /hello {{ return 200 "hello $arg_name\\n"; }}
        location /old {{ rewrite ^ /hello?name=rewritten last; }}
    }}
}}
"""
FILES = {"small.txt": b"a small file\n", "text.txt": b"all work and no play\n" * 5000,
         "data.bin": bytes(range(256)) * 4000}


class Nginx(Program):
    def __init__(self, **options):
        self.port = free_port()
        directory = service.harness.tempfile.mkdtemp(prefix="moonheap-test-")
        with open(os.path.join(directory, "nginx.conf"), "w") as f:
            f.write(CONFIG.format(port=self.port, user="user root;" if os.getuid() == 0 else ""))
        for name, content in FILES.items():
            with open(os.path.join(directory, name), "wb") as f:
                f.write(content)
            os.utime(os.path.join(directory, name), (1_600_000_000, 1_600_000_000))
        os.mkdir(os.path.join(directory, "logs"))
        super().__init__([need("nginx"), "-p", directory, "-c", "nginx.conf", "-e", "error.log"],
                         directory=directory, out="out.%p.txt", **options)
        self.own_directory = True
        connect(self.port).close()
        self.workers = until(self.children, 60, "two workers")

    def children(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as f:
            pids = [int(p) for p in f.read().split()]
        return pids if len(pids) == 2 else None

    def fetch(self, path, *headers):
        """Status line, headers but the date, and body."""
        with connect(self.port) as s:
            lines = [f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
            s.sendall("\r\n".join(lines).encode())
            text = b""
            while data := s.recv(1 << 16):
                text += data
        return re.sub(rb"\r\nDate: [^\r]*", b"", text)

    def fetch_all(self):
        return [self.fetch(path, *headers) for path in
                ("/small.txt", "/text.txt", "/data.bin", "/hello?name=x", "/old", "/missing", "/")
                for headers in ((), ("Accept-Encoding: gzip",), ("Range: bytes=5-9",))]


def test_responses_are_the_same():
    with Nginx(moonheap=False) as alone:
        expected = alone.fetch_all()
    check(any(b"Content-Encoding: gzip" in r for r in expected), "gzip is asked too")
    with Nginx(script=LOOK) as ours:
        check(ours.fetch_all() == expected, "unsignalled")
        for pid in [ours.pid] + ours.workers:
            ours.run(pid=pid)
        check(ours.fetch_all() == expected, "once agents run")
        ours.process.send_signal(signal.SIGQUIT)
        check(ours.process.wait(20) == 0, "it ends well", ours.stderr())


def load(nginx, number, name):
    pids = [nginx.pid] + nginx.workers
    command = [need("wrk"), "-t", "1", "-c", "16", "-d", "3s", "--timeout", "60s",
               f"http://127.0.0.1:{nginx.port}/text.txt"]
    for text in signal_under_load(nginx, command, times=21, number=number, pids=pids):
        check("Socket errors" not in text and "Non-2xx" not in text and "requests in" in text,
              f"no reply is lost ({name})", text)
    check(nginx.children() == nginx.workers, "the workers are the same", nginx.children())
    for pid in pids:
        runs = nginx.wait_runs(1, pid=pid)
        check(all(f"pid {pid}" in r.header for r in runs), f"{pid} answers for itself",
              runs[-1:])
    check(nginx.fetch("/small.txt").endswith(FILES["small.txt"]), "it serves on")


def test_loaded_and_signalled():
    with Nginx(script=LOOK, MOONHEAP_SIGNAL="RTMIN+2") as nginx:
        load(nginx, signal.SIGRTMIN + 2, "RTMIN+2")


def test_its_own_use_of_the_signal():
    with Nginx(script=LOOK) as nginx:
        load(nginx, signal.SIGUSR1, "USR1")
        log = os.path.join(nginx.directory, "access.log")
        os.rename(log, log + ".old")
        nginx.run()
        until(lambda: os.path.exists(log), 60, "nginx reopens its log on SIGUSR1")
        nginx.fetch("/small.txt")
        until(lambda: "small.txt" in open(log).read(), 60, "its workers log there")


if __name__ == "__main__":
    main()
