"""Unmodified programs against the fakes: `/dev/nsm` and AF_VSOCK as a program's kernel gives them.

Linux only. The kernel stops the program's few relevant system calls (seccomp user notification,
seccomp_unotify(2)) and a supervisor answers them: no rebuilding, no preloading, no privileges.
`run` starts a program so, in processes of its own; `plan` is what travels to them, `guardian` and
`supervisor` are those processes, `launch` and `namespaces` make the program's. It is a test tool:
a program that wants to escape its supervisor can (seccomp_unotify(2), "Caveats").
"""
