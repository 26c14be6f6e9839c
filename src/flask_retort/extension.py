"""``SQLAlchemy``, the object that applications call ``db``: it registers and delegates."""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, cast, overload

import sqlalchemy as sa
from flask import Flask, current_app, has_app_context
from sqlalchemy import orm

from . import constraints, record_queries, request_transactions, track_modifications
from . import guards as guards_module
from . import model as model_module
from .checks import masked
from .cli import add_models_to_shell
from .config import Config, report_unknown_keys
from .context_sessions import call_after_teardown, current_session, make_scoped_session
from .engines import apply_defaults, attach_to_all, dispose_all, drop_all, make_engine
from .errors import ConfigurationError, UnknownBind
from .guards import Guards
from .model import Model as DefaultModel
from .names import Names
from .query import Query
from .scopes import Scopes
from .session import Session
from .table import Table
from .views import Views

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    B = TypeVar("B", covariant=True, default=Any)
else:
    from typing import TypeVar

    B = TypeVar("B")
Engines = dict[str | None, sa.Engine]


def _current_app() -> Any:
    return current_app._get_current_object()  # type: ignore[attr-defined] # a proxy


class SQLAlchemy(Views, Scopes, Names, Generic[B]):
    """The database layer of one or many Flask applications.

    Holds models, metadata and the session registry, shared by all applications; engines belong to
    each application. One application has one ``SQLAlchemy`` object.

    :param app: initialise this application at once, see :meth:`init_app`.
    :param metadata: default metadata for classic bases. A 2.x base brings its own.
    :param session_options: arguments for ``sqlalchemy.orm.sessionmaker``; ``scopefunc`` replaces
        the application context as scope, ``class_`` the session class (a subclass of ours).
    :param query_class: class of the legacy ``Model.query`` and of dynamic relationships.
    :param model_class: the base of models: a SQLAlchemy 2.x base class, a ready
        ``declarative_base()``, or a subclass of :class:`flask_retort.model.Model`.
    :param engine_options: defaults for ``create_engine``, for every engine. Configuration wins.
    :param add_models_to_shell: put ``db`` and all models into ``flask shell``.
    :param disable_autonaming: models without ``__tablename__`` get none.
    """

    Model: type[B]
    """The base class of models. With a 2.x ``model_class`` it is that class itself."""

    @overload
    def __init__(
        self: SQLAlchemy[DefaultModel],
        app: Flask | None = None,
        *,
        metadata: sa.MetaData | None = None,
        session_options: Mapping[str, Any] | None = None,
        query_class: type[Query[Any]] = Query,
        engine_options: Mapping[str, Any] | None = None,
        add_models_to_shell: bool = True,
        disable_autonaming: bool = False,
    ) -> None: ...

    @overload
    def __init__(
        self,
        app: Flask | None = None,
        *,
        metadata: sa.MetaData | None = None,
        session_options: Mapping[str, Any] | None = None,
        query_class: type[Query[Any]] = Query,
        model_class: type[B],
        engine_options: Mapping[str, Any] | None = None,
        add_models_to_shell: bool = True,
        disable_autonaming: bool = False,
    ) -> None: ...

    def __init__(
        self,
        app: Flask | None = None,
        *,
        metadata: sa.MetaData | None = None,
        session_options: Mapping[str, Any] | None = None,
        query_class: type[Query[Any]] = Query,
        model_class: type[Any] = DefaultModel,
        engine_options: Mapping[str, Any] | None = None,
        add_models_to_shell: bool = True,
        disable_autonaming: bool = False,
    ) -> None:
        self.Query = query_class
        self._engine_options = dict(engine_options or {})
        self._app_engines: weakref.WeakKeyDictionary[Flask, Engines] = weakref.WeakKeyDictionary()
        self._app_configs: weakref.WeakKeyDictionary[Flask, Config] = weakref.WeakKeyDictionary()
        self._app_guards: weakref.WeakKeyDictionary[Flask, Guards] = weakref.WeakKeyDictionary()
        self._add_models_to_shell = add_models_to_shell
        self.metadatas: dict[str | None, sa.MetaData] = {}
        """Metadata by bind key; the default database's is under None."""
        self.session = self._make_scoped_session(dict(session_options or {}))
        """The session of the current application context, made at first use, removed at its end."""
        self.metadatas[None] = self._default_metadata(model_class, metadata)
        self.Table: type[Table] = self._make_table_class()
        self.Model = self._make_declarative_base(model_class, disable_autonaming)
        if app is not None:
            self.init_app(app)

    # --- set-up -------------------------------------------------------------------

    def init_app(self, app: Flask) -> None:
        """Read the application's configuration, make its engines and register on it.

        No connection is made. Later changes of the configuration are not seen.

        :raises RuntimeError: the application has a ``SQLAlchemy`` object already.
        :raises flask_retort.errors.ConfigurationError: a key is missing or wrong.
        """
        if "sqlalchemy" in app.extensions:
            raise ConfigurationError(
                "A 'SQLAlchemy' instance has already been registered on this Flask application."
                " Import and use that instance, db = app.extensions['sqlalchemy'], instead of"
                " making another."
            )
        settings: Any = app.config
        for key, default in Config.defaults().items():
            settings.setdefault(key, default)
        config = self._app_configs[app] = Config.from_mapping(settings)
        settings.update(config.plain_values())
        report_unknown_keys(settings)
        engines = self._make_engines(app, config)
        if self._add_models_to_shell:  # Flask may refuse it, so before anything is kept
            app.shell_context_processor(add_models_to_shell)
        dispose_all(self._app_engines.get(app, {}))
        self._app_engines[app] = engines
        weakref.finalize(app, dispose_all, engines)
        app.extensions["sqlalchemy"] = self
        call_after_teardown(app, self._teardown_session)
        session_class = self.session.session_factory.class_
        self._app_guards[app] = guards_module.install(app, session_class, engines, config)
        if config.SQLALCHEMY_RECORD_QUERIES:
            record_queries.record(app, engines)
        if config.RETORT_REQUEST_TRANSACTION:
            request_transactions.init_app(self, app)
        if config.SQLALCHEMY_TRACK_MODIFICATIONS:
            track_modifications.listen(self.session)

    def _make_engines(self, app: Flask, config: Config) -> Engines:
        engines: Engines = {}
        try:
            for bind_key, options in config.engine_options(self._engine_options).items():
                self._make_metadata(bind_key)
                self._apply_driver_defaults(options, app)
                engine = engines[bind_key] = self._make_engine(bind_key, options, app)
                attach_to_all(
                    engine, functools.partial(constraints.translate, schema=self._schema(bind_key))
                )
        except BaseException:
            dispose_all(engines)
            raise
        return engines

    def _schema(self, bind_key: str | None) -> constraints.Schema:
        """What the models say of a database, as they are when an error is explained."""
        return constraints.Schema(
            lambda: self.metadatas[bind_key], lambda: self._registry_of_models().mappers
        )

    def _registry_of_models(self) -> orm.registry:
        base: Any = self.Model
        return cast(orm.registry, base.registry)

    def _apply_driver_defaults(self, options: dict[str, Any], app: Flask) -> None:
        """Complete one engine's options in place. Override to change defaults."""
        config = self._app_configs[app]
        apply_defaults(options, instance_path=app.instance_path, config=config)

    def _make_engine(self, bind_key: str | None, options: dict[str, Any], app: Flask) -> sa.Engine:
        """Make one engine from its complete options. Override to make engines differently."""
        return make_engine(options, bind_key=bind_key, config=self._app_configs[app])

    def _default_metadata(
        self, model_class: type[Any], metadata: sa.MetaData | None
    ) -> sa.MetaData:
        if model_module.is_2x_base(model_class):
            if metadata is not None:
                warnings.warn(
                    "The 'metadata' argument is ignored with a SQLAlchemy 2.x base. Set it on the"
                    f" class: class {model_class.__name__}(DeclarativeBase): metadata = ...",
                    DeprecationWarning,
                    stacklevel=3,
                )
            metadata = model_class.metadata
        elif metadata is None:
            metadata = getattr(model_class, "metadata", None) or sa.MetaData()
        metadata = cast(sa.MetaData, metadata)
        metadata.info["bind_key"] = None
        return metadata

    def _make_scoped_session(self, options: dict[str, Any]) -> orm.scoped_session[Session]:
        scope: Callable[[], Any] | None = options.pop("scopefunc", None)
        return make_scoped_session(self._make_session_factory(options), scope)

    def _make_session_factory(self, options: dict[str, Any]) -> orm.sessionmaker[Session]:
        options.setdefault("class_", Session)
        options.setdefault("query_cls", self.Query)
        return orm.sessionmaker(db=self, **options)

    def _make_metadata(self, bind_key: str | None) -> sa.MetaData:
        """The metadata of a bind key, made at first use with the default's naming convention."""
        if bind_key in self.metadatas:
            return self.metadatas[bind_key]
        metadata = sa.MetaData(naming_convention=self.metadata.naming_convention)
        metadata.info["bind_key"] = bind_key
        self.metadatas[bind_key] = metadata
        return metadata

    def _make_table_class(self) -> type[Table]:
        return type("Table", (Table,), {"_db": self})

    def _make_declarative_base(
        self, model_class: type[Any], disable_autonaming: bool = False
    ) -> type[B]:
        base: Any = model_module.make_declarative_base(
            model_class, self.metadata, disable_autonaming=disable_autonaming
        )
        constraints.watch_validators(base)
        base.__fsa__ = self
        if not hasattr(base, "query_class"):
            base.query_class = self.Query
        if "query" not in vars(base):
            base.query = model_module._QueryProperty()
        return cast("type[B]", base)

    def _teardown_session(self, error: BaseException | None) -> None:
        """Remove the session of the ending context. Nothing is committed."""
        session = current_session(self.session)
        if session is not None:
            self.session.registry.clear()  # first, so that it is forgotten even if closing it fails
            try:
                self.guards.context_ends(session, error)
            finally:
                session.close()
        elif not hasattr(self.session, "registry"):  # put there by the application, or a test
            self.session.remove()

    # --- engines and metadata -----------------------------------------------------

    @property
    def engines(self) -> Engines:
        """The engines of the current application by bind key; the default engine is under None.

        :raises RuntimeError: there is no application context, or its application was not
            initialised with this object.
        """
        return self._engines_of(_current_app())

    def _engines_of(self, app: Flask) -> Engines:
        try:
            return self._app_engines[app]
        except KeyError:
            raise ConfigurationError(
                f"The Flask application '{app.name}' is not registered with this 'SQLAlchemy'"
                " instance. Did you forget to call 'db.init_app(app)', or did you make several"
                " 'SQLAlchemy' instances?"
            ) from None

    @property
    def guards(self) -> Guards:
        """The guards of the current application, and what they have found."""
        return self._app_guards[_current_app()]

    allow = staticmethod(guards_module.allow)

    @property
    def engine(self) -> sa.Engine:
        """The default engine of the current application."""
        return self._engine_for(self.engines, None)

    def get_engine(
        self, bind_key: Any = None, *, bind: str | None = None, app: Flask | None = None
    ) -> sa.Engine:
        """The engine of a bind key; an older spelling of ``db.engines[bind_key]``.

        Also takes the forms of older versions: ``get_engine(app, bind=key)``.
        """
        key = bind_key if bind is None else bind
        if isinstance(bind_key, Flask):
            app, key = bind_key, bind
        return self._engine_for(self.engines if app is None else self._engines_of(app), key)

    @staticmethod
    def _engine_for(engines: Mapping[str | None, sa.Engine], bind_key: str | None) -> sa.Engine:
        try:
            return engines[bind_key]
        except KeyError:
            message = (
                f"Bind key {bind_key!r} is not in 'SQLALCHEMY_BINDS' config. Its keys are"
                f" {sorted(filter(None, engines))}. Add the key there, or correct it in the model's"
                " __bind_key__."
                if bind_key is not None
                else "'SQLALCHEMY_DATABASE_URI' config is not set: there is no default engine. Set"
                " it, or give the models a __bind_key__ of 'SQLALCHEMY_BINDS'."
            )
            raise UnknownBind(message) from None

    @property
    def metadata(self) -> sa.MetaData:
        """The metadata of the default database."""
        return self.metadatas[None]

    def create_all(self, bind_key: str | None | list[str | None] = "__all__") -> None:
        """Create the tables that do not exist yet. Never changes an existing table.

        :param bind_key: a bind key, a list of them, or ``"__all__"``.
        """
        self._call_for_binds(bind_key, "create_all")

    def drop_all(self, bind_key: str | None | list[str | None] = "__all__") -> None:
        """Drop the tables of the models, with their rows, in any order.

        Without a bind key it first rolls the session of the current context back: its transaction
        is about tables that go, and waiting for it to end would never end.

        :param bind_key: a bind key, a list of them, or ``"__all__"``.
        """
        if bind_key == "__all__":
            self.session.rollback()
        self._call_for_binds(bind_key, "drop_all")

    def reflect(self, bind_key: str | None | list[str | None] = "__all__") -> None:
        """Load the definitions of the tables that are in the database into the metadata.

        :param bind_key: a bind key, a list of them, or ``"__all__"``.
        """
        self._call_for_binds(bind_key, "reflect")

    def _call_for_binds(self, bind_key: str | None | list[str | None], op_name: str) -> None:
        engines = self.engines
        everything = bind_key == "__all__"
        keys = list(self.metadatas) if everything else bind_key
        for key in keys if isinstance(keys, list) else [keys]:
            metadata = self._make_metadata(key)
            if everything and key not in engines and not metadata.tables:
                continue
            engine = self._engine_for(engines, key)
            if op_name == "drop_all":
                drop_all(engine, metadata)
            else:
                getattr(metadata, op_name)(bind=engine)

    def __repr__(self) -> str:
        name = type(self).__name__
        if not has_app_context():
            return f"<{name}>"
        engines = self.engines
        shown = [masked(engines[None].url) if None in engines else "(No default engine)"]
        others = len(engines) - (None in engines)
        if others:
            shown.append(f"+{others} engines")
        return f"<{name} {' '.join(shown)}>"
