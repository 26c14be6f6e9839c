"""A pytest plug-in that puts our package under the predecessor's import name.

It is loaded before any test file of the predecessor is imported. The run ends at once if the real
package could be imported: then a pass would prove nothing.
"""

from __future__ import annotations

from importlib.util import find_spec

import pytest

if find_spec("flask_sqlalchemy") is not None:
    pytest.exit("the real flask_sqlalchemy is installed here", returncode=3)

import flask_retort

flask_retort.install_as_flask_sqlalchemy()
