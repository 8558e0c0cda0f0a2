"""Lists as PostgreSQL's arrays: whatever the texts hold, PostgreSQL reads what was meant."""

import random

import asyncpg

from common.messaging import arrays

PIECES = ["", '"', "\\", "NULL", ",", "{", "}", " ", "\n", "\t", "'", "n", "都市", "🌱", "\u2028", "\x01"]


async def _read(connection: asyncpg.Connection, written: str, kind: str) -> object:
    return await connection.fetchval(f"select $1::text::{kind}[]", written)


async def test_texts_with_everything_that_means_something_in_an_array(postgres: str):
    chance = random.Random(7)
    lists = [PIECES, [], [""], *(["".join(chance.choices(PIECES, k=4)) for _ in range(5)] for _ in range(200))]
    connection = await asyncpg.connect(postgres)
    for texts in lists:
        assert await _read(connection, arrays.texts(texts), "text") == texts
    await connection.close()


async def test_whole_numbers(postgres: str):
    connection = await asyncpg.connect(postgres)
    for numbers in ([], [0], [-1, 10**18, 3]):
        assert await _read(connection, arrays.numbers(numbers), "bigint") == numbers
    await connection.close()
