"""Puts our packages under the predecessors' import names in every Python started from here.

Its folder stands in PYTHONPATH, so that the ``flask`` commands which a suite starts have the names
too. A process ends at once if a real package could be imported: then a pass would prove nothing.
"""

from __future__ import annotations

from importlib.util import find_spec

for name in ("flask_migrate", "flask_sqlalchemy"):
    if find_spec(name) is not None:
        raise SystemExit(f"the real {name} is installed here")

from flask_retort import compat  # noqa: E402  not before it is known that no real one is there

compat.install_as_flask_sqlalchemy()
compat.install_as_flask_migrate()
