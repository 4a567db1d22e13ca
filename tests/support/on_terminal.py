"""Runs a program on a pseudo-terminal: on_terminal.py TYPED PROGRAM ARG...

What the program shows is copied to standard output as it comes. TYPED is typed, with a return,
once the program has asked something that ends in "] ". Exits as the program does.
"""

import os
import pty
import sys

typed, *program = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(program[0], program)
shown = b""
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:  # Linux says EIO when the other side is closed.
        break
    if not part:
        break
    sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
    shown += part
    if typed and shown.endswith(b"] "):
        os.write(terminal, typed.encode() + b"\n")
        typed = ""
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
