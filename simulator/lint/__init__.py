"""What `attested-kms lint` says of an image before it is an enclave: the traps of its boot.

    subject      what is looked at: the settings of an image, its files, and what is not known
    reading      Dockerfiles, archives, folders, `docker inspect` and EIFs into subjects
    dockerfile   the last stage of a Dockerfile, with its lines
    files        the files of an image as the enclave's init leaves them
    programs     what the kernel would do with a file: ELF, scripts
    boot_report  what would run, how it would end, and what everybody would see of it
    shell_text   what can be told of a shell script without running it
    rules        the table of the rules; their functions in `command_rules`, `program_rules`,
                 `behaviour_rules` and `setting_rules`
    report       the result, as text and as JSON

Not a proof that an enclave works: nothing is run. What cannot be told from the input is listed as
not decided, and a finding that may be wrong says `may`.
"""
