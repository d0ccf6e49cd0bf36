# SPDX-License-Identifier: MIT
"""assembly.py - writes random functions in assembly, with unwind information by hand.

Context: test. Each is a `step` (generated/world.h) with a frame that compilers make seldom or
never: registers pushed in odd places, the frame found by an expression, by any register, by a word
of memory, a return address that is not where it was pushed, a stack of its own.
"""

CALLEE_SAVED = ["rbx", "r12", "r13", "r14", "r15"]
DWARF = {"rax": 0, "rdx": 1, "rcx": 2, "rbx": 3, "rsi": 4, "rdi": 5, "rbp": 6, "rsp": 7,
         **{f"r{i}": i for i in range(8, 16)}}


def sleb(value):
    out = []
    while True:
        byte = value & 0x7f
        value >>= 7
        if (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40):
            return out + [byte]
        out.append(byte | 0x80)


def uleb(value):
    out = []
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return out + [value]


def escape(*groups):
    data = [b for g in groups for b in (g if isinstance(g, list) else [g])]
    return "    .cfi_escape " + ", ".join(f"{b:#x}" for b in data) + "\n"


def breg(register, offset):
    return [0x70 + DWARF[register]] + sleb(offset)


def cfa_by(*expression):
    program = [b for part in expression for b in part]
    return escape(0x0f, uleb(len(program)), program)


def saved_by(register, *expression):
    """The caller's value lies at the address that the expression gives."""
    program = [b for part in expression for b in part]
    return escape(0x10, uleb(DWARF[register]), uleb(len(program)), program)


def value_by(register, *expression):
    program = [b for part in expression for b in part]
    return escape(0x16, uleb(DWARF[register]), uleb(len(program)), program)


# Operations that leave the top of the expression's stack as it was.
NOTHING = [
    [0x35, 0x13], [0x12, 0x13], [0x33, 0x16, 0x16, 0x13], [0x31, 0x14, 0x13, 0x13],
    [0x31, 0x15, 1, 0x13, 0x13], [0x31, 0x32, 0x17, 0x13, 0x16, 0x13], [0x1f, 0x1f], [0x20, 0x20],
    [0x23, 5, 0x35, 0x1c], [0x37, 0x22, 0x09, 0xf9, 0x22], [0x31, 0x1e], [0x31, 0x1b], [0x19],
    [0x32, 0x24, 0x32, 0x25], [0x2f, 1, 0, 0x1f], [0x31, 0x28, 1, 0, 0x1f],
    [0x30, 0x28, 1, 0, 0x96], [0x96], [0x12, 0x12, 0x27, 0x22], [0x08, 200, 0x13], [0x0c, 1, 2, 3, 4, 0x13],
    [0x12, 0x12, 0x29, 0x1e], [0x10, 0x80, 1, 0x13], [0x0b, 0xff, 0xff, 0x13],
    [0x12, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x1d, 0x13]]


class Function:
    """One function; keeps where the stack pointer is."""

    def __init__(self, number, draw, more_room):
        self.number, self.draw, self.more_room = number, draw, more_room
        self.text, self.behind = [], []
        self.cfa = 8  # of the frame from rsp
        self.follows = True  # the CFA is told from rsp

    def put(self, line):
        self.text.append("    " + line + "\n")

    def raw(self, text):
        self.text.append(text)

    def push(self, register, tell=True):
        self.put(f"pushq %{register}")
        self.cfa += 8
        if self.follows:
            self.put(".cfi_adjust_cfa_offset 8")
        if tell and register in CALLEE_SAVED + ["rbp"]:
            self.put(f".cfi_rel_offset %{register}, 0" if self.follows else
                     f".cfi_offset %{register}, {-self.cfa}")

    def pop(self, register, tell=True):
        self.put(f"popq %{register}")
        self.cfa -= 8
        if self.follows:
            self.put(".cfi_adjust_cfa_offset -8")
        if tell and register in CALLEE_SAVED + ["rbp"]:
            self.put(f".cfi_restore %{register}")

    def lower(self, bytes_):
        self.put(f"subq ${bytes_}, %rsp")
        self.cfa += bytes_
        if self.follows:
            self.put(f".cfi_adjust_cfa_offset {bytes_}")

    def raise_(self, bytes_):
        self.put(f"addq ${bytes_}, %rsp")
        self.cfa -= bytes_
        if self.follows:
            self.put(f".cfi_adjust_cfa_offset {-bytes_}")

    def align(self):
        """Room so that calls find the stack as the ABI says."""
        room = (-self.cfa) % 16 + 16 * self.draw.randrange(0, 4) + self.more_room
        if room:
            self.lower(room)
        return room

    def call_others(self):
        self.put("movq %rbx, %rdi")
        self.put("movq %r12, %rsi")
        self.put("call assembly_call@PLT")

    def allocate(self):
        self.put(f"movl ${self.draw.randrange(1, 99)}, %edi")
        self.put("call malloc@PLT")
        self.put("movq %rax, %rdi")
        self.put("call free@PLT")

    def work(self, may_push=True):
        """Allocates, and calls others, and traps. rsp is aligned."""
        trap = self.allocate if self.draw.mild else lambda: self.put("ud2")
        for _ in range(self.draw.randrange(1, 4)):
            self.draw.choice([self.allocate, self.allocate, self.call_others, self.call_others,
                              self.call_others, trap])()
            if may_push and self.draw.random() < 0.2:  # arguments on the stack of a call
                self.push("rax", tell=False)
                self.push("rcx", tell=False)
                self.call_others()
                self.raise_(16)

    def begin(self):
        """Tells the number; rbx is w from here on, and r12 what assembly_call wants besides."""
        self.put("movq %rdi, %rbx")
        self.put("movl %esi, %edx")
        self.put(f"movl ${self.number}, %esi")
        self.put("call assembly_enter@PLT")
        self.put("movq %rax, %r12")

    def finish(self, name):
        return (f"    .globl {name}\n    .type {name}, @function\n    .p2align 4\n{name}:\n"
                f"    .cfi_startproc\n" + "".join(self.text)
                + f"    .cfi_endproc\n    .size {name}, . - {name}\n" + "".join(self.behind)
                + "\n")


def with_pushes(f):
    """Callee-saved registers in any order, rbp as one more of them."""
    d = f.draw
    others = d.sample(["r13", "r14", "r15", "rbp"], d.randrange(0, 5))
    saved = ["rbx", "r12"] + others
    d.shuffle(saved)
    for register in saved:
        f.push(register)
        if d.random() < 0.2:
            f.lower(8)
            saved[saved.index(register)] = register + "+"
    room = f.align()
    if "rbp" in others or "rbp+" in saved:
        f.put(f"movq ${d.randrange(1 << 30)}, %rbp")
    f.begin()
    f.work()
    if room:
        f.raise_(room)
    for register in reversed(saved):
        if register.endswith("+"):
            f.raise_(8)
        f.pop(register.rstrip("+"))
    f.put("ret")


def with_frame_pointer(f):
    f.push("rbp")
    f.put("movq %rsp, %rbp")
    f.put(".cfi_def_cfa_register %rbp")
    f.follows = False
    f.push("rbx")
    f.push("r12")
    f.align()
    f.begin()
    f.work()
    f.put("movq -8(%rbp), %rbx")
    f.put("movq -16(%rbp), %r12")
    f.put("leave")
    f.put(".cfi_def_cfa %rsp, 8")
    f.put("ret")


def by_any_register(f):
    """The frame hangs on r13, r14 or r15; rbp is anything."""
    d = f.draw
    register = d.choice(["r13", "r14", "r15"])
    for r in ["rbp", "rbx", "r12", register]:
        f.push(r)
    f.put(f"movq %rsp, %{register}")
    f.put(f".cfi_def_cfa_register %{register}")
    f.follows = False
    f.put(f"subq ${d.randrange(1, 900)}, %rsp")
    f.put(f"andq ${-d.choice([16, 32, 64])}, %rsp")
    f.put("movq $7, %rbp")
    f.begin()
    f.work()
    f.put(f"movq %{register}, %rsp")
    f.put(".cfi_def_cfa_register %rsp")
    f.follows = True
    for r in [register, "r12", "rbx", "rbp"]:
        f.pop(r)
    f.put("ret")


def by_word(f):
    """The frame's address lies in a word of the frame, which is realigned without a pointer."""
    d = f.draw
    f.push("rbp")
    f.push("rbx")
    f.push("r12")
    f.put("leaq 32(%rsp), %rax")
    f.put(".cfi_remember_state")
    f.put(".cfi_def_cfa %rax, 0")
    word = 8 * d.randrange(0, 6)
    f.put(f"subq ${word + 16 + d.randrange(200)}, %rsp")
    f.put("andq $-64, %rsp")
    f.put(f"movq %rax, {word}(%rsp)")
    f.raw(cfa_by([0x92, 7] + sleb(word) if d.random() < 0.3 else breg("rsp", word),
                 d.choice([[0x06], [0x94, 8]]), *d.sample(NOTHING, d.randrange(0, 4)))
          if d.random() < 0.7 else
          cfa_by(breg("rsp", 0), [0x23] + uleb(word), [0x06], [0x38], [0x1c], [0x23, 8]))
    f.put("movq $1, %rbp")
    f.begin()
    f.work(may_push=False)
    f.put(f"movq {word}(%rsp), %rax")
    f.put("leaq -32(%rax), %rsp")
    f.put(".cfi_restore_state")
    for r in ["r12", "rbx", "rbp"]:
        f.pop(r)
    f.put("ret")


def as_gcc_realigns(f):
    """The CFA is a word below rbp, and rbp's own place is told by an expression."""
    f.put("leaq 8(%rsp), %r10")
    f.put(".cfi_def_cfa %r10, 0")
    f.put("andq $-64, %rsp")
    f.put("pushq -8(%r10)")
    f.put("pushq %rbp")
    f.put("movq %rsp, %rbp")
    f.raw(saved_by("rbp", breg("rbp", 0)))
    f.put("pushq %r10")
    f.raw(cfa_by(breg("rbp", -8), [0x06]))
    f.put("pushq %rbx")
    f.raw(saved_by("rbx", breg("rbp", -16)))
    f.put("pushq %r12")
    f.raw(saved_by("r12", breg("rbp", -24)))
    f.put("subq $24, %rsp")
    f.follows = False
    f.begin()
    f.work()
    f.put("movq -16(%rbp), %rbx")
    f.put(".cfi_restore %rbx")
    f.put("movq -24(%rbp), %r12")
    f.put(".cfi_restore %r12")
    f.put("movq -8(%rbp), %r10")
    f.put(".cfi_def_cfa %r10, 0")
    f.put("leave")
    f.put(".cfi_restore %rbp")
    f.put("leaq -8(%r10), %rsp")
    f.put(".cfi_def_cfa %rsp, 8")
    f.put("ret")


def with_two_ends(f):
    """Two ways out, with the state remembered and restored around each."""
    f.push("rbx")
    f.push("r12")
    f.lower(8)
    f.begin()
    f.put("testl $1, %r12d")
    f.put(f"jz .Lsecond{f.number}")
    f.put(".cfi_remember_state")
    before = f.cfa
    f.work()
    f.raise_(8)
    f.pop("r12")
    f.pop("rbx")
    f.put("ret")
    f.cfa = before
    f.raw(f".Lsecond{f.number}:\n")
    f.put(".cfi_restore_state")
    f.lower(32)
    f.put(".cfi_remember_state")
    f.work()
    f.raise_(40)
    f.pop("r12")
    f.pop("rbx")
    f.put("ret")
    f.put(".cfi_restore_state")


def kept_in_registers(f):
    """rbp and rbx are kept in other registers for a while."""
    f.push("r12")
    f.push("r13")
    f.push("r14")
    f.put("movq %rbp, %r13")
    f.put(".cfi_register %rbp, %r13")
    f.put("movq %rbx, %r14")
    f.put(".cfi_register %rbx, %r14")
    room = f.align()
    f.put("movl $3, %ebp")
    f.begin()
    f.work()
    f.put("movq %r14, %rbx")
    f.put(".cfi_same_value %rbx")
    f.put("movq %r13, %rbp")
    f.put(".cfi_same_value %rbp")
    if room:
        f.raise_(room)
    f.pop("r14")
    f.pop("r13")
    f.pop("r12")
    f.put("ret")


def returning_elsewhere(f):
    """The return address is moved from where the call put it: into a register, or deeper."""
    d = f.draw
    if d.random() < 0.5:
        f.push("rbx")
        f.push("r12")
        f.push("r13")
        f.put("movq 24(%rsp), %r13")
        f.put(".cfi_register %rip, %r13")
        f.put("movq $0, 24(%rsp)")
        room = f.align()
        f.begin()
        f.work()
        if room:
            f.raise_(room)
        f.put("movq %r13, 24(%rsp)")
        f.put(".cfi_offset %rip, -8")
        f.pop("r13")
        f.pop("r12")
        f.pop("rbx")
    else:
        f.push("rbx")
        f.push("r12")
        f.lower(24)
        f.put("movq 40(%rsp), %rax")
        f.put("movq %rax, 8(%rsp)")
        f.put(f".cfi_offset %rip, {8 - f.cfa}")
        f.put("movq $16, 40(%rsp)")
        f.begin()
        f.work()
        f.put("movq 8(%rsp), %rax")
        f.put("movq %rax, 40(%rsp)")
        f.put(".cfi_offset %rip, -8")
        f.raise_(24)
        f.pop("r12")
        f.pop("rbx")
    f.put("ret")


def far_saved(f):
    """rbp is saved at the far end of a large frame, or as the value of an expression."""
    d = f.draw
    f.push("rbx")
    f.push("r12")
    if d.random() < 0.5:
        size = 8 * d.choice([1001, 4001])
        f.lower(size)
        f.put("movq %rbp, (%rsp)")
        f.put(".cfi_rel_offset %rbp, 0")
        f.put("movl $9, %ebp")
        f.begin()
        f.work()
        f.put("movq (%rsp), %rbp")
        f.put(".cfi_restore %rbp")
        f.raise_(size)
    else:
        f.push("rbp", tell=False)
        f.put("addq $5, (%rsp)")  # kept plus five
        f.raw(value_by("rbp", breg("rsp", 0), [0x06], [0x35], [0x1c]))
        f.put("movl $9, %ebp")
        f.begin()
        f.work(may_push=False)
        f.put("subq $5, (%rsp)")
        f.raw(value_by("rbp", breg("rsp", 0), [0x06]))
        f.pop("rbp")
    f.pop("r12")
    f.pop("rbx")
    f.put("ret")


def trapping_at_once(f):
    """The first instruction traps: the address before it belongs to another function."""
    d = f.draw
    f.put("pushq %rdi")
    f.put(".cfi_adjust_cfa_offset 8")
    f.put("popq %rdi")
    f.put(".cfi_adjust_cfa_offset -8")
    f.cfa = 8
    for register in ["rbx", "r12"]:
        f.push(register)
    f.lower(8)
    f.begin()
    f.put(f"call .Ltrap{f.number}")
    f.work()
    f.raise_(8)
    f.pop("r12")
    f.pop("rbx")
    f.put("ret")
    f.behind.append(f"    .skip {d.choice([0, 0, 3])}, 0x90\n.Ltrap{f.number}:\n"
                    "    .cfi_startproc\n"
                    "    ud2\n    pushq %rbx\n    .cfi_adjust_cfa_offset 8\n    ud2\n"
                    "    popq %rbx\n    .cfi_adjust_cfa_offset -8\n    ret\n    .cfi_endproc\n")


def ending_with_a_call(f):
    """The last instruction is a call that does not return; what follows is another function."""
    f.push("rbx")
    f.push("r12")
    f.lower(8)
    f.begin()
    f.work()
    f.put("movq %rbx, %rdi")
    f.put("call assembly_may_leave@PLT")
    f.put("testl %eax, %eax")
    f.put(f"jnz .Lgo{f.number}")
    f.put(".cfi_remember_state")
    f.raise_(8)
    f.pop("r12")
    f.pop("rbx")
    f.put("ret")
    f.raw(f".Lgo{f.number}:\n")
    f.put(".cfi_restore_state")
    f.put("movq %rbx, %rdi")
    f.put("call assembly_leave@PLT")


def on_other_stack(f):
    """Goes on on a stack of its own, which may lie above or below; rbp leads back."""
    f.push("rbp")
    f.put("movq %rsp, %rbp")
    f.put(".cfi_def_cfa_register %rbp")
    f.follows = False
    f.push("rbx")
    f.push("r12")
    f.begin()
    f.put("movq %rbx, %rdi")
    f.put("call assembly_stack@PLT")
    f.put("testq %rax, %rax")
    f.put(f"jz .Lstay{f.number}")
    f.put("movq %rax, %rsp")
    f.call_others()
    f.allocate()
    f.put("movq %rbx, %rdi")
    f.put("call assembly_stack_done@PLT")
    f.raw(f".Lstay{f.number}:\n")
    f.put("leaq -16(%rbp), %rsp")
    f.put("movq -8(%rbp), %rbx")
    f.put("movq -16(%rbp), %r12")
    f.put("leave")
    f.put(".cfi_def_cfa %rsp, 8")
    f.put("ret")


KINDS = [with_pushes, with_frame_pointer, by_any_register, by_word, as_gcc_realigns, with_two_ends,
         kept_in_registers, returning_elsewhere, far_saved, trapping_at_once, ending_with_a_call,
         on_other_stack, with_pushes]

MILD = [with_pushes, with_frame_pointer, as_gcc_realigns, with_two_ends, ending_with_a_call]

# What the functions call; it is part of the program, not of its plugins.
GLUE = """#define _GNU_SOURCE
#include <sys/mman.h>
#include "world.h"

unsigned long assembly_enter(struct world *w, unsigned id, unsigned depth);
void assembly_call(struct world *w, unsigned long place);
int assembly_may_leave(struct world *w);
void assembly_leave(struct world *w);
char *assembly_stack(struct world *w);
void assembly_stack_done(struct world *w);

/* The function's level and depth, in one register. */
unsigned long assembly_enter(struct world *w, unsigned id, unsigned depth)
{
    return (unsigned long)world_enter(w, id) << 32 | depth;
}

void assembly_call(struct world *w, unsigned long place)
{
    unsigned depth = (unsigned)place, level = (unsigned)(place >> 32);
    if (MAY_CALL())
        world_pick(w)(w, depth - 1);
    BACK();
}

int assembly_may_leave(struct world *w)
{
    return w->now->jump && world_draw(w, 3) == 0;
}

void assembly_leave(struct world *w)
{
    world_leave(w);
}

/* One for each context. */
char *assembly_stack(struct world *w)
{
    struct context *c = w->now;
    enum { BYTES = 4 << 20 };
    if (c->borrowed || w->alternate)
        return NULL;
    if (!c->other)
        c->other = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    c->borrowed = 1;
    return c->other + BYTES;
}

void assembly_stack_done(struct world *w)
{
    w->now->borrowed = 0;
}
"""


def source(draw, numbers, count, more_room=None):
    """(text, names of the steps) of a file of functions; with more_room, such as differ from those
    made with another in the size of their frames alone."""
    text, names, kinds = [], [], list(MILD if draw.mild else KINDS)
    if more_room is not None:
        kinds = [with_pushes]
    draw.shuffle(kinds)
    for i in range(count):
        f = Function(next(numbers), draw, more_room or 0)
        kinds[i % len(kinds)](f)
        names.append(f"g{f.number}")
        text.append(f.finish(names[-1]))
    return ("    .text\n" + "".join(text) + '    .section .note.GNU-stack,"",@progbits\n', names)
