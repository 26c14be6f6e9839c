"""Files that projects write for Alembic themselves, in their usual forms."""

ONE_DATABASE = """
    from logging.config import fileConfig
    from alembic import context
    from flask import current_app

    config = context.config
    fileConfig(config.config_file_name)
    target = current_app.extensions["migrate"].db

    def offline():
        context.configure(
            url=target.engine.url, target_metadata=target.metadata, literal_binds=True
        )
        with context.begin_transaction():
            context.run_migrations()

    def online():
        def process_revision_directives(context, revision, directives):
            if getattr(config.cmd_opts, "autogenerate", False):
                if directives[0].upgrade_ops.is_empty():
                    directives[:] = []

        arguments = current_app.extensions["migrate"].configure_args
        if arguments.get("process_revision_directives") is None:
            arguments["process_revision_directives"] = process_revision_directives
        with target.engine.connect() as connection:
            context.configure(
                connection=connection, target_metadata=target.metadata, **arguments
            )
            with context.begin_transaction():
                context.run_migrations()

    if context.is_offline_mode():
        offline()
    else:
        online()
"""
SEVERAL_DATABASES = """
    from logging.config import fileConfig
    from alembic import context
    from flask import current_app

    fileConfig(context.config.config_file_name)
    target = current_app.extensions["migrate"].db
    engines = {key or "": {"engine": engine} for key, engine in target.engines.items()}
    for record in engines.values():
        record["connection"] = record["engine"].connect()
        record["transaction"] = record["connection"].begin()
    try:
        for name, record in engines.items():
            context.configure(
                connection=record["connection"],
                upgrade_token=f"{name}_upgrades",
                downgrade_token=f"{name}_downgrades",
                target_metadata=target.metadatas[name or None],
            )
            context.run_migrations(engine_name=name)
        for record in engines.values():
            record["transaction"].commit()
    except:
        for record in engines.values():
            record["transaction"].rollback()
        raise
    finally:
        for record in engines.values():
            record["connection"].close()
"""
PLAIN_ALEMBIC = """
    from alembic import context
    from sqlalchemy import engine_from_config, pool

    config = context.config
    engine = engine_from_config(
        config.get_section(config.config_ini_section, {}), "sqlalchemy.", poolclass=pool.NullPool
    )
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=None)
        with context.begin_transaction():
            context.run_migrations()
"""
# What older projects have, with which Python's logging would be set up anew.
LOGGING_INI = """
[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARN
handlers = console

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic

[formatter_generic]
format = %(message)s
"""
