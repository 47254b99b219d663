"""Empty the test database after a test that commits, at a tenth of the cost of Django's `flush`.

`flush` truncates every table, which makes some 500 files anew with all partitions and indexes, and then makes content
types and permissions again: 0.25 s for the ten rows that most tests leave.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection, transaction

#: made once by the migrations, the same for every test
_KEPT = frozenset({"django_migrations", "django_content_type", "auth_permission"})
#: dead rows beyond this would slow down the tests that follow until they are vacuumed
_MANY = 5_000


def delete_rows() -> bool:
    """Delete whatever tests left; False, and nothing is done, where truncating is the better way."""
    if not _is_superuser():  # who may not leave triggers out may not delete what is append-only
        return False
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [connection.ops.quote_name(name) for name in sorted(names) if name not in _KEPT]
    with transaction.atomic():
        # As `flush` would, wait for what other processes are still writing
        _run(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE")
        if _with_more_rows_than(_MANY, tables):
            return False
        deletes = [f"DELETE FROM {table}" for table in _with_more_rows_than(0, tables)]
        # No trigger keeps an audit entry, no foreign key asks for an order
        _run("; ".join(["SET LOCAL session_replication_role = replica", *deletes]))
    return True


def _is_superuser() -> bool:
    connection.ensure_connection()
    reported: str = connection.connection.info.parameter_status("is_superuser")
    return reported == "on"


def _with_more_rows_than(count: int, tables: Sequence[str]) -> list[str]:
    looks = (f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table} OFFSET {count})" for table in tables)  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        return [table for (table,) in cursor.fetchall()]


def _run(statements: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements)
