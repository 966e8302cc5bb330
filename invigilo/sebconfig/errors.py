"""Why a file cannot be used. All are `BadInput`, so an edge that makes no difference needs none of these.

BadInput
├── NotASebFile     nothing about the first bytes says SEB: choose another file
├── DamagedFile     begins like one, then breaks off or breaks the rules: get a fresh copy
├── PasswordNeeded  protected, and no password was given: ask for it
├── WrongPassword   did not open; a damaged file looks the same, nobody can tell them apart
└── NoPrivateKey    made for a certificate whose private key was not given
"""

from __future__ import annotations

from invigilo.errors import BadInput


class NotASebFile(BadInput):
    """The data does not begin like any SEB file."""


class DamagedFile(BadInput):
    """A SEB file by its beginning, but it breaks off or breaks the rules of the format."""


class PasswordNeeded(BadInput):
    """The file is protected by a password and none was given."""


class WrongPassword(BadInput):
    """The password does not open the file."""


class NoPrivateKey(BadInput):
    """The file was made for a certificate whose private key is not at hand."""
