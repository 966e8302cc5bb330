"""SEB's configuration files: what may stand in them, how they are wrapped, and their Config Key.

Bytes in, bytes out; this room imports no other room.

    catalogue.py        every setting there is, from seb-settings.csv
    plist.py            the property list inside a file
    config_key.py       SEB-JSON and the Config Key
    browser_exam_key.py the key a server can only hand out, not compute
    rncryptor.py        password encryption
    container.py        a whole .seb file: gzip, prefix, password, certificate
    values.py           what the settings editor holds, its edits and differences
    checks.py           what the editor locks, resets and objects to
    exam_settings.py    what clients load for an exam, with the keys our camera page needs
    connection_file.py  the small file that tells a client where this server is
    errors.py           why a file cannot be used
"""
