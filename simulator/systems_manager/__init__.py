"""A Systems Manager that runs AWS-RunShellScript on a simulated parent instance.

What it is not: it checks no signature beyond the access key, keeps nothing, and has one instance.
The scripts are real processes of the user who runs it, with all of that user's rights.

Truth: the service model and documentation of Systems Manager, and the sources of amazon-ssm-agent;
each row of `rules` and each constant states which.
"""
