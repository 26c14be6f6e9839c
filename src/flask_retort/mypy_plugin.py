"""A mypy plugin: ``class User(db.Model)`` is to mypy what ``class User(Base)`` is.

mypy takes a class or the name of one as base, never an attribute of a variable, and it looks bases
up before any hook of a plugin could answer. So this plugin puts right what mypy then has: it sets
the base and withdraws mypy's complaint, of a base written ``<variable>.Model`` whose variable is
typed as ``SQLAlchemy``, and of no other.

It works on what mypy has analysed, not on the syntax tree it parsed, because mypy's worker
processes never show that tree to a plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mypy.errorcodes import MISC, NAME_DEFINED, ErrorCode
from mypy.maptype import map_instance_to_supertype
from mypy.mro import MroError, calculate_mro
from mypy.nodes import (
    CallExpr,
    ClassDef,
    Expression,
    MemberExpr,
    RefExpr,
    SymbolNode,
    TypeInfo,
    Var,
    get_member_expr_fullname,
)
from mypy.plugin import ClassDefContext, DynamicClassDefContext, Plugin
from mypy.semanal import SemanticAnalyzer
from mypy.types import AnyType, Instance, ProperType, Type, TypeOfAny, get_proper_type

EXTENSION = "flask_retort.extension.SQLAlchemy"
DEFAULT_MODEL = "flask_retort.model.Model"
NO_MRO = 'Cannot determine consistent method resolution order (MRO) for "{}"'


class RetortPlugin(Plugin):
    """The hooks mypy calls; ``plugins = ["flask_retort.mypy_plugin"]`` switches them on."""

    def get_dynamic_class_hook(
        self, fullname: str
    ) -> Callable[[DynamicClassDefContext], None] | None:
        """Give ``db`` in ``db = SQLAlchemy(...)`` its type before classes are analysed."""
        symbol = self.lookup_fully_qualified(fullname)
        node = symbol.node if symbol else None
        if isinstance(node, TypeInfo) and node.has_base(EXTENSION):
            return lambda ctx: _declare(ctx, node)
        return None

    def get_customize_class_mro_hook(
        self, fullname: str
    ) -> Callable[[ClassDefContext], None] | None:
        """Set the bases of classes that name ``db.Model`` as one."""
        return _set_bases


def plugin(version: str) -> type[Plugin]:
    """Return the plugin, as mypy asks of every plugin module."""
    return RetortPlugin


# --- the type of db ------------------------------------------------------------------------------


def _declare(ctx: DynamicClassDefContext, extension: TypeInfo) -> None:
    assert isinstance(ctx.api, SemanticAnalyzer)
    symbol = ctx.api.lookup_current_scope(ctx.name)
    if symbol and isinstance(symbol.node, Var) and symbol.node.type is None:
        symbol.node.type = _constructed(ctx.call, extension, ctx.api)


def _constructed(call: CallExpr, extension: TypeInfo, api: SemanticAnalyzer) -> Instance | None:
    if not extension.type_vars:
        return Instance(extension, [])
    model = _model_class(call, api)
    if isinstance(model, TypeInfo):
        return Instance(extension, [Instance(model, [])])
    if isinstance(model, Var):  # The outcome of declarative_base(): to mypy it is of type Any.
        return Instance(extension, [AnyType(TypeOfAny.explicit)])
    return None


def _model_class(call: CallExpr, api: SemanticAnalyzer) -> SymbolNode | None:
    for name, value in zip(call.arg_names, call.args, strict=True):
        if name == "model_class":
            return value.node if isinstance(value, RefExpr) else None
    symbol = api.lookup_fully_qualified_or_none(DEFAULT_MODEL)
    return symbol.node if symbol else None


# --- the bases of a class ------------------------------------------------------------------------


def _set_bases(ctx: ClassDefContext) -> None:
    assert isinstance(ctx.api, SemanticAnalyzer)
    models: dict[Expression, Instance] = {}
    for expr, model in _models_among_bases(ctx.cls, ctx.api):
        if isinstance(model, Instance):
            models[expr] = model
            _withdraw(ctx.api, expr, NAME_DEFINED, MISC)
        elif isinstance(model, AnyType):
            _withdraw(ctx.api, expr, NAME_DEFINED)
    if models:
        _merge(ctx, models)


def _models_among_bases(
    cls: ClassDef, api: SemanticAnalyzer
) -> Iterator[tuple[MemberExpr, ProperType | None]]:
    for expr in cls.base_type_exprs:
        if isinstance(expr, MemberExpr) and expr.name == "Model":
            name = get_member_expr_fullname(expr) or ""
            holder = name.removesuffix(".Model")
            symbol = api.lookup_qualified(holder, expr, suppress_errors=True) if holder else None
            if symbol and isinstance(symbol.node, Var):
                yield expr, _model_of(symbol.node.type)


def _model_of(holder: Type | None) -> ProperType | None:
    extension = get_proper_type(holder)
    if isinstance(extension, Instance):
        for info in extension.type.mro:
            if info.fullname == EXTENSION:
                return get_proper_type(map_instance_to_supertype(extension, info).args[0])
    return None


def _merge(ctx: ClassDefContext, models: dict[Expression, Instance]) -> None:
    """Put ``models`` among the bases mypy found, in the order of the class statement."""
    info = ctx.cls.info
    exprs = [expr for expr in ctx.cls.base_type_exprs if not _is_object(expr)]
    found = [base for base in info.bases if base.type.fullname != "builtins.object"]
    others = [expr for expr in exprs if expr not in models]
    complete = len(found) == len(others)
    if complete:
        by_expr = models | dict(zip(others, found, strict=True))
        info.bases = [by_expr[expr] for expr in exprs]
    else:  # Another base is of type Any, which mypy does not list.
        info.bases = [*found, *models.values()]
    info.fallback_to_any = not complete
    mro_without_models, info.mro = info.mro, []
    try:
        calculate_mro(info)
    except MroError:
        info.mro = mro_without_models
        ctx.api.fail(NO_MRO.format(info.name), ctx.cls)


def _is_object(expr: Expression) -> bool:
    return isinstance(expr, RefExpr) and expr.fullname == "builtins.object"


def _withdraw(api: SemanticAnalyzer, expr: MemberExpr, *codes: ErrorCode) -> None:
    names = (f'"{get_member_expr_fullname(expr)}"', f'"{expr.name}"')
    file, reported = api.errors.file, api.errors.error_info_map
    kept = [
        error
        for error in reported.get(file, [])
        if error.line != expr.line
        or error.code not in codes
        or not any(name in error.message for name in names)
    ]
    if kept:
        reported[file] = kept
    else:  # mypy takes an entry, even an empty one, for a file with errors.
        reported.pop(file, None)
