"""A script of any length, sent through AWS Systems Manager, with its whole output and exit code.

The client behind `attested-kms ssm run`. It drives real AWS as it is, and a simulated instance in
the same way; it imports boto3 and the standard library, and no fake. It is no Session Manager:
there is no terminal, no standard input, and output comes when the script has ended.

What of the real service it relies upon, and how that is known; none of it was run against AWS:

- 64 KB for a document with its parameters (MaxDocumentSizeExceeded): documented, API models of
  SendCommand and CreateDocument. How the service counts is unknown, hence the margin (limits.py).
- 3,000 characters in one string of `commands`: reported, the field notes. The limit of a string is
  unknown.
- GetCommandInvocation gives the first 24,000 characters of standard output: documented, API model;
  the agent cuts there (amazon-ssm-agent, iohandler.go): inferred from its source.
- The strings are joined by line ends into one file that `sh -c FILE` runs, without a HOME of a
  user, standard input empty: inferred from the agent's source (runscript.go, executers.go).
- The agent waits until nobody holds its pipes any more, so a process left in the background would
  hold the command up: inferred, Go's os/exec as executers.go uses it. So the script gets others.
- executionTimeout and CancelCommand kill the process group with SIGKILL: inferred,
  executers_unix.go. CancelCommand promises nothing: documented.
- An executionTimeout below 5 seconds becomes an hour: inferred, pluginutil.go. At most 172,800
  seconds: documented, AWS-RunShellScript.
- Exit code 194 restarts the instance, and then the script: documented, "Handling reboots when
  running commands". Exit code 137 counts as a timeout: inferred, pluginutil_unix.go; 168 and 169
  mean things of their own: inferred, the agent's source. So none is passed to the agent.
- `{{ssm:NAME}}` is replaced by the service: documented, "Data elements and parameters"; which other
  braces it minds in a parameter is unknown. So what the user wrote travels in base64 alone.
- GetCommandInvocation may answer InvocationDoesNotExist right after SendCommand: documented
  (eventual consistency) and reported (boto3 issue 2701).
- SendCommand takes no token against repetition: documented, API model. So a command that arrives
  twice must do no harm.
- Status and StatusDetails, with and without spaces in the details: documented and reported.
- /tmp of Amazon Linux 2023 is in memory, and larger files belong into /var/tmp: documented, its
  user guide, "/tmp (small temporary files)". So files are in /var/tmp.
"""
