"""Bases named ``Model`` that are not ours: judged with the plugin as without it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import assert_type

import library
import library as models
from library import Registry, annotated, registry

namespace = SimpleNamespace(Model=library.Model)
made = library.make()


class OfAModule(library.Model): ...


class OfARenamedModule(models.Model): ...


class OfAClass(Registry.Model): ...  # reported: misc valid-type |


class OfAnObject(registry.Model): ...  # reported: misc name-defined |


class OfAnAnnotatedObject(annotated.Model): ...  # reported: misc name-defined |


class OfACallsResult(made.Model): ...  # reported: misc name-defined |


class OfANamespace(namespace.Model): ...  # reported: misc name-defined |


class OfNothing(library.Nothing): ...  # reported: misc name-defined | reportAttributeAccessIssue reportUnknownMemberType reportUntypedBaseClass


assert_type(OfAModule().x, int)
assert_type(OfARenamedModule().x, int)
OfAModule().y  # reported: attr-defined | reportAttributeAccessIssue reportUnknownMemberType


def calls_a_class_of_its_own() -> int:
    class Local: ...

    local = Local()
    return id(local)
