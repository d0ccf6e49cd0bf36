# SPDX-License-Identifier: MIT
"""Does redis-server (which exports a Lua of its own and uses jemalloc) serve as without us, and
does Moonheap say of it what Redis itself says?

Context: test. Oracles: the same commands to a server without Moonheap; redis-benchmark's own error
count; DBSIZE.
"""

import hashlib
import os
import re

import service
from harness import Program, check, main, numbers
from service import LOOK, connect, need, signal_under_load


class Redis(Program):
    def __init__(self, **options):
        super().__init__([need("redis-server"), "--port", "0", "--unixsocket", "redis.sock",
                          "--save", "", "--appendonly", "no", "--logfile", "log.txt",
                          "--enable-debug-command", "yes"], **options)
        self.socket_path = os.path.join(self.directory, "redis.sock")
        self.socket = connect(self.socket_path)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()
        super().close()

    @staticmethod
    def encode(words):
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)

    def reply(self):
        """One reply, raw."""
        line = self.file.readline()
        check(line.endswith(b"\r\n"), "a whole reply", line)
        kind, rest = line[:1], line[1:-2]
        if kind == b"$" and rest != b"-1":
            return line + self.file.read(int(rest) + 2)
        if kind == b"*" and rest != b"-1":
            return line + b"".join(self.reply() for _ in range(int(rest)))
        return line

    def commands(self, series):
        """Sends all, a thousand at a time, and returns the replies."""
        replies, batch = [], []

        def flush():
            self.socket.sendall(b"".join(map(self.encode, batch)))
            replies.extend(self.reply() for _ in batch)
            batch.clear()
        for words in series:
            batch.append(words)
            if len(batch) == 1000:
                flush()
        flush()
        return replies

    def dbsize(self):
        return int(self.commands([["DBSIZE"]])[0][1:])


def everything():
    """A fixed series that uses each data type, Redis' own Lua, a fork, and large values."""
    for i in range(3000):
        yield ["SET", f"string:{i}", "v" * (i % 700)]
        yield ["GET", f"string:{i * 7 % 3000}"]
        yield ["APPEND", f"string:{i % 50}", "tail"]
        yield ["LPUSH", f"list:{i % 20}", i, f"element {i}"]
        yield ["HSET", f"hash:{i % 30}", f"field{i}", i * i]
        yield ["SADD", f"set:{i % 10}", i, i // 2]
        yield ["ZADD", f"zset:{i % 10}", i * 37 % 101, f"member{i}"]
    for i in range(200):
        yield ["EVAL", "local t = {} for i = 1, tonumber(ARGV[1]) do t[i] = i * 2 end "
                       "redis.call('SET', KEYS[1], cjson.encode(t)) return #t", "1", f"lua:{i}", i]
        yield ["EVAL", "return redis.call('nonsense')", "0"]
        yield ["LRANGE", f"list:{i % 20}", 0, 50]
        yield ["ZRANGE", f"zset:{i % 10}", 0, -1, "WITHSCORES"]
    yield ["SET", "big", b"x" * 5_000_000]
    yield ["STRLEN", "big"]
    yield ["SAVE"]
    yield ["DEBUG", "RELOAD"]
    yield ["DBSIZE"]
    yield ["DEBUG", "DIGEST"]
    yield ["FLUSHALL"]
    yield ["SCRIPT", "FLUSH"]
    yield ["DBSIZE"]


def digest(replies):
    return hashlib.sha256(b"".join(replies)).hexdigest(), len(replies)


def test_replies_are_the_same():
    with Redis(moonheap=False) as alone:
        expected = alone.commands(everything())
    with Redis(script=LOOK) as ours:
        check(digest(ours.commands(everything())) == digest(expected), "unsignalled")
        ours.run()
        check(digest(ours.commands(everything())) == digest(expected), "once the agent runs")
        ours.commands([["SET", "last", "1"]])
        ours.socket.sendall(ours.encode(["SHUTDOWN", "NOSAVE"]))
        check(ours.process.wait(20) == 0, "it ends well", ours.stderr())


def test_loaded_and_signalled():
    with Redis(script=LOOK) as redis:
        command = [need("redis-benchmark"), "-s", redis.socket_path, "-n", "150000", "-r", "20000",
                   "-c", "20", "-P", "8", "-d", "100", "-q",
                   "-t", "set,get,lpush,lpop,sadd,hset,zadd,mset"]
        for text in signal_under_load(redis, command):
            check("rror" not in text and text.count("requests per second") == 8, "no error", text)
        redis.wait_runs(1)
        runs = redis.settle()
        # Signals that come during a run make one more run: on a busy machine there are few.
        check(not any("traceback" in r.body for r in runs), "answers", runs[-1:])
        redis.run()
        check(redis.commands([["PING"]]) == [b"+PONG\r\n"], "it serves on")


def test_background_save_while_signalled():
    """BGSAVE and BGREWRITEAOF fork; the child must end, and its file must load."""
    with Redis(script=LOOK) as redis:
        redis.commands(["SET", f"key:{i}", "v" * 100] for i in range(20000))
        for _ in range(5):
            redis.signal()
            check(redis.commands([["BGSAVE"]])[0].startswith(b"+Background"), "the save begins")
            redis.signal()
            service.until(lambda: b"rdb_bgsave_in_progress:0" in
                          redis.commands([["INFO", "persistence"]])[0], 20, "the save ends")
        info = redis.commands([["INFO", "persistence"]])[0]
        check(b"rdb_last_bgsave_status:ok" in info, "it is saved", info)
        redis.settle()


KEYS = 100_000
# A third of the keys each: short values, values of 200 bytes, and numbers kept as strings.
GROWTH = """
data.n = (data.n or 0) + 1
local s = heap.snapshot{graph=false}
printf("n=%d\\nlive=%d\\nbytes=%d\\n", data.n, #s, s.bytes)
for _, row in ipairs(s:diff(data.last or s, "stack"):rows()) do
    print("row", row.count_delta, row.bytes_delta)
end
data.last = s
"""
EDITED = "print('edited')" + GROWTH


def rows(run):
    """(count_delta, bytes_delta) of each stack, largest count first."""
    found = re.findall(r"^row\t(-?\d+)\t(-?\d+)$", run.body, re.M)
    return sorted(((int(c), int(b)) for c, b in found), key=lambda r: -abs(r[0]))


def test_growth_and_its_reverse():
    with Redis(script=GROWTH) as redis:
        redis.commands([["CONFIG", "SET", "activerehashing", "no"], ["SET", "warm", "x" * 200],
                        ["DEL", "warm"]])
        first = redis.run()
        redis.commands(["SET", f"key:{i:08}", "x" * 200] for i in range(KEYS))
        size = redis.dbsize()
        check(size == KEYS, "Redis holds the keys", size)
        grown = redis.run()
        redis.commands(["DEL", f"key:{i:08}"] for i in range(KEYS))
        check(redis.dbsize() == 0, "Redis holds none")
        gone = redis.run(EDITED)
        check("edited" in gone.body and "edited" not in grown.body, "the edit takes effect", gone)
        check([numbers(r.body)["n"] for r in (first, grown, gone)] == [1, 2, 3], "data.n counts")

        # Each key is a key string, a dictionary entry, and a value of an object and a string.
        near = [r for r in rows(grown) if abs(r[0] - size) <= size / 100]
        check(3 <= len(near) <= 5, "the sites of a key grew by DBSIZE within 1 %", rows(grown)[:10])
        total = numbers(grown.body)["live"] - numbers(first.body)["live"]
        check(abs(total / len(near) / size - 1) < 0.01, "and nothing else did", total, near)
        check(sum(b for _, b in near) > size * 200, "with the bytes of their values", near)
        back = [r for r in rows(gone) if abs(r[0] + size) <= size / 100]
        check(len(back) == len(near), "the reverse when they are deleted", rows(gone)[:10])
        left = numbers(gone.body)["live"] - numbers(first.body)["live"]
        check(abs(left) < size / 100, "and all is as before", left)


if __name__ == "__main__":
    main()
