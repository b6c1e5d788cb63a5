"""Loaded first by commands: spares them what they never use of the libraries they load.

jsonschema, which nbformat loads, compiles a grammar of web addresses when it is imported: two to
three seconds, for a check that no notebook asks for. Where the module is None it does without.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)
