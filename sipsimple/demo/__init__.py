"""The demo: two processes call each other, and what arrived is compared with what was sent. Run `python -m sipsimple.demo --help`.

It is an application like any other and uses nothing but the public names of the SDK; `agent` is the part to read first.

    agent       a process with a SIPApplication, steered by JSON lines on its standard input
    process     the other end of those lines
    calls       the course of the demo: local call, call through an account
    desktop     a desktop to share, and who looks at it (viewer)
    ladder      the SIP messages of both processes as text
    machine     whether the machine has time for it
    sound       what is played, and whether a recording has it
    terminal    progress and results
"""
