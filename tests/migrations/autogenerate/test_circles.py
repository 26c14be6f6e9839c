"""Tables that reference each other are compared without a warning."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.migrations import models_zoo
from tests.migrations.generating import differences


@pytest.mark.parametrize("several", [False, True])
def test_tables_that_reference_each_other_are_all_found(several: bool) -> None:
    """A warning would be an error here."""
    one, two = sa.MetaData(), sa.MetaData()
    models_zoo.circle(one, use_alter=False)
    sa.Table("alone", two if several else one, sa.Column("id", sa.Integer, primary_key=True))
    engine = sa.create_engine("sqlite://", poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = [one, two] if several else one
        found = differences(connection, one, target_metadata=context)
    added = {diff[1].name for diff in found if diff[0] == "add_table"}
    assert added >= set(one.tables)
