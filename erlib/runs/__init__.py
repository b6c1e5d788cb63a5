"""What runs notebooks: the command line, plans, batches, workers, and what is made of results."""

import sys

# jsonschema, which nbformat loads, compiles a grammar of web addresses when it is imported: two to
# three seconds, for a check that no notebook asks for. Where the module is None it does without.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
