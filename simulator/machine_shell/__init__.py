"""Scripts on a simulated parent instance, with the paths that they are written for.

A process in a mount namespace of its own (and a user namespace, without root) sees this system with
the instance laid over it: what the machine's folder has below `root/` is at its real path, programs
that are not installed there are not found, and what a script writes to /etc, /usr, /var and so on
goes to the machine's folder and not to this system. `/tmp`, the current folder, processes and the
network are this system's. It guards against a set-up script's mistakes, not against an attacker.

Linux only: mount_namespaces(7), user_namespaces(7), overlayfs of 5.11 or newer without root.
"""
