"""What is wrong with a database, said so that an operator can mend it."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from common.errors import TryAgain
from common.migrate import ChangedMigration
from musubi.advice import CannotGoOn

_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)
_NO_TABLES = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError)


@contextmanager
def in_words(schema: str, variable: str) -> Iterator[None]:
    """Whatever connects to the database of this schema, and works with it, while the block runs, raises `CannotGoOn` where
    somebody can mend it. `variable` is the one that says where it is."""
    with in_words_beside_others(schema, variable):
        try:
            yield
        except BrokenPipeError:  # whoever read our output has gone, as in `… | head`
            raise
        except OSError as error:  # a time-out is one, too
            raise _does_not_answer(schema, variable, error) from error


@contextmanager
def in_words_beside_others(schema: str, variable: str) -> Iterator[None]:
    """The same for a block that speaks to the broker, too: what has timed out or is cut off in it need not be the database."""
    try:
        yield
    except _AWAY as error:
        raise _does_not_answer(schema, variable, error) from error
    except _NO_TABLES as error:
        raise CannotGoOn(f"The tables of {schema} are not up to date. Run `musubi migrate`.") from error
    except ChangedMigration as error:
        raise CannotGoOn(f"The database of {schema} belongs to another version of Musubi: {error}.") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise CannotGoOn(
            f"The role of {variable} may not do this in {schema} ({_first_line(error)}). Use the role that owns the schema."
        ) from error
    except TryAgain as error:
        if error.slug != "database-away":  # such as the broker
            raise
        raise CannotGoOn(f"The database of {schema} went away. What was under way is undone; run it again.") from error


def _does_not_answer(schema: str, variable: str, error: BaseException) -> CannotGoOn:
    return CannotGoOn(
        f"The database of {schema} does not answer ({_first_line(error)}). Is PostgreSQL running and {variable} right?"
    )


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
