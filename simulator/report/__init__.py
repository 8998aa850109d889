"""`attested-kms report`: what the suite showed, where, and what of it is known of real hardware.

`reading` takes the files that runs of the suite leave; `matrix` puts scenarios beside targets;
`comparing` finds where targets answered differently; `diagram` turns the steps of a scenario into
the lanes and arrows of a diagram, and `svg` draws it; `page` and `as_json` are the two answers.
Nothing here runs a scenario, asks a clock or knows more than those files say: the same files make
the same page. Source of truth: `.results/*.json` and `*.validation.json` (scenarios/records.py).
"""
