# SPDX-License-Identifier: MIT
"""Does memcached, whose worker threads are many and whose memory is its own, serve as without us?

Context: test. Oracles: the same conversation with a server without Moonheap; under load, every
reply of every client is checked. memcached stops on SIGUSR1, so Moonheap gets another signal; the
last test asks that SIGUSR1 still stops it.
"""

import os
import threading

import service
from harness import Program, check, main, signal
from service import LOOK, connect, need


class Memcached(Program):
    def __init__(self, **options):
        arguments = [need("memcached"), "-s", "mc.sock", "-t", "4", "-m", "64", "-U", "0"]
        if os.getuid() == 0:
            arguments += ["-u", "root"]
        super().__init__(arguments, MOONHEAP_SIGNAL="USR2", **options)
        self.socket_path = os.path.join(self.directory, "mc.sock")


def conversation(n):
    for i in range(n):
        value = str(i) * (i % 90)
        yield f"set k{i} {i} 0 {len(value)}\r\n{value}\r\n"
        yield f"get k{i} k{i // 2}\r\n"
        yield f"add n{i % 50} 0 0 1\r\n5\r\n"
        yield f"incr n{i % 50} {i}\r\n"
        if i % 3 == 0:
            yield f"delete k{i // 3}\r\n"
        if i % 100 == 0:
            yield f"append k{i} 0 0 3\r\nend\r\n"
            yield f"touch k{i} 1000\r\n"
            yield "nonsense\r\n"
    yield f"set big 0 0 900000\r\n{'x' * 900000}\r\n"
    yield "get big\r\n"
    yield "verbosity 0\r\n"


def talk(server, n):
    """Everything that the server says to the conversation; `version` marks its end."""
    with connect(server.socket_path) as s:
        def send():
            for request in conversation(n):
                s.sendall(request.encode())
            s.sendall(b"version\r\n")
        sender = threading.Thread(target=send)
        sender.start()
        text = bytearray()
        while not (text.endswith(b"\r\n") and b"VERSION " in text[-100:]):
            data = s.recv(1 << 20)
            check(data, "the server does not hang up", bytes(text[-200:]))
            text += data
        sender.join()
        return bytes(text)


def test_replies_are_the_same():
    with Memcached(moonheap=False) as alone:
        expected = [talk(alone, 5000), talk(alone, 5000)]
    check(len(expected[0]) > 1_000_000, "the conversation is long", len(expected[0]))
    with Memcached(script=LOOK) as ours:
        check(talk(ours, 5000) == expected[0], "unsignalled")
        ours.run(number=signal.SIGUSR2)
        check(talk(ours, 5000) == expected[1], "once the agent runs")
        ours.process.terminate()
        status = ours.process.wait(20)
        check(status == 0, "it ends as without us", status, ours.stderr())


def client(server, number, rounds, enough, wrong):
    """Counts each lost or wrong reply of its own keys; goes on until there was enough."""
    with connect(server.socket_path) as s:
        f = s.makefile("rb")
        i = 0
        while i < rounds or not enough.is_set():
            i += 1
            value = f"{number}-{i}".encode() * (1 + i % 40)
            s.sendall(b"set c%d:%d 0 0 %d\r\n%s\r\nget c%d:%d\r\n" %
                      (number, i % 500, len(value), value, number, i % 500))
            replies = [f.readline() for _ in range(4)]
            if (replies[0] != b"STORED\r\n" or replies[2] != value + b"\r\n"
                    or replies[3] != b"END\r\n"):
                wrong.append((number, i, replies))
                return


def test_loaded_and_signalled():
    with Memcached(script=LOOK) as server:
        wrong, enough = [], threading.Event()
        clients = [threading.Thread(target=client, args=(server, n, 6000, enough, wrong))
                   for n in range(8)]
        for c in clients:
            c.start()
        sent = 0
        try:
            while sent < 20 and all(c.is_alive() for c in clients):
                server.signal(signal.SIGUSR2)
                sent += 1
                service.time.sleep(0.03)
                server.alive()
        finally:
            enough.set()
        for c in clients:
            c.join()
        check(not wrong, "no reply is lost or wrong", wrong)
        check(sent == 20, "signalled 20 times under load", sent)
        server.wait_runs(1)
        runs = server.settle()
        # Signals that come during a run make one more run: on a busy machine there are few.
        check(not any("traceback" in r.body for r in runs), "answers", runs[-1:])
        server.run(number=signal.SIGUSR2)


def test_its_own_use_of_the_default_signal():
    status = []
    for moonheap in (False, True):
        with Memcached(moonheap=moonheap) as server:
            connect(server.socket_path).close()
            server.process.send_signal(signal.SIGUSR1)
            status.append((server.process.wait(20), server.stderr()))
    check(status[0] == status[1], "it stops as without us", *status)


if __name__ == "__main__":
    main()
