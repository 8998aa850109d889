"""The simulated parent instance as an Amazon Linux 2023: its files, its accounts, its commands.

What a set-up script and `attested-kms doctor` look at beside nitro-cli. Files are below the
machine's `root/`; commands are shims, which know no more than those files. Standard library only.
What it is not: a system. Scripts run in this system's shell, as this system's user, and what they
run that is no shim is this system's.

Each module says where its behaviour is from, and with what evidence.
"""
