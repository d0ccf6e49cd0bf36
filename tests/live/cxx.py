# SPDX-License-Identifier: MIT
"""Are C++ objects named by their types, in stripped programs too, and do exceptions, threads and
plugins work as without us?

Context: test.
"""

import os
import select
import shutil
import subprocess
import tempfile

from harness import Program, check, main, numbers, victim

TYPES = """
local s = heap.snapshot{graph=false}
local p = s:by("type")
for _, name in ipairs{"zoo::Cat", "zoo::Cage<zoo::Cat>", "shapes::Square"} do
    local row = p[name]
    print(name, row and row.count or 0, row and row.set:one().type_source or "-")
end
printf("cats=%d\\n", #s:type("zoo::Cat"))
printf("made=%d\\n", #s:all():where{stack_has="make_animals", type="zoo::Cat"})
printf("plugin=%d\\n", #s:all():where{stack_has="plugin_make"})
"""


def rows(run):
    return {f[0]: int(f[1]) for f in (x.split("\t") for x in run.body.split("\n")) if len(f) == 3}


def name_types(binary, symbols=True):
    with Program([binary, victim("shapes.so")], script=TYPES) as program:
        check(program.hear() == "ready", "it starts")
        run = program.run()
        check(rows(run) == {"zoo::Cat": 1000, "zoo::Cage<zoo::Cat>": 500, "shapes::Square": 0},
              "each class with its count", run)
        check(numbers(run.body)["cats"] == 1000, "s:type is exact", run)
        if symbols:
            check(numbers(run.body)["made"] == 1000, "types and stacks together", run)
        check(program.ask("plugin") == "done 50", "the plugin is loaded")
        run = program.run()
        check(rows(run)["shapes::Square"] == 50, "a type of a plugin", run)
        check(numbers(run.body)["plugin"] >= 50, "a site of a plugin", run)
        check(program.ask("unload") == "done 0", "the plugin is gone")
        check(rows(program.run())["shapes::Square"] == 0, "and its objects with it")
        for _ in range(3):
            program.ask("plugin")
            check(rows(program.run())["shapes::Square"] == 50, "loaded again, named again")
            program.ask("unload")
        check(program.finish() == 0, "it ends well")


def test_types():
    name_types(victim("objects"))


def test_types_of_a_stripped_program():
    folder = tempfile.mkdtemp(prefix="moonheap-test-")
    try:
        stripped = os.path.join(folder, "objects")
        shutil.copy(victim("objects"), stripped)
        subprocess.run(["strip", "--strip-all", stripped], check=True)
        name_types(stripped, symbols=False)
    finally:
        shutil.rmtree(folder)


def objects(rounds, moonheap, signals=0):
    with Program([victim("objects"), victim("shapes.so"), str(rounds)], moonheap=moonheap,
                 script=TYPES) as program:
        text, sent = b"", 0
        while True:
            ready = select.select([program.process.stdout], [], [], 0.01)[0]
            if ready:
                data = os.read(program.process.stdout.fileno(), 65536)
                text += data
                if not data:
                    break
            elif sent < signals:
                program.signal()
                sent += 1
        return text, program.process.wait(30), program.stderr(), len(program.runs())


def test_exceptions_threads_and_plugins():
    """Byte-identical output, exit status and diagnostics, signalled and not."""
    alone = objects(800, False)
    check(alone[1] == 17 and alone[0].count(b"\n") > 2000, "the program itself", alone)
    for signals in (0, 1000):
        ours = objects(800, True, signals)
        check(ours[:3] == alone[:3], f"the same with {signals} signals", ours[1:])
    print(f"# {ours[3]} runs while plugins came and went")


if __name__ == "__main__":
    main()
