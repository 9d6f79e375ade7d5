"""Full-text search in the traces of a dataset: FTS5 on SQLite, ``tsvector`` with GIN on PostgreSQL.

The words of a trace are indexed under its place, a number made of dataset and position, so results
come in order straight from the index and a page costs the same wherever it lies. Words are
normalised here, so that both databases find the same. Split and family stand in the index as two
more words, which nobody can type: a common word in a rare family is found without reading a row.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone
from django_q.tasks import async_task

from datasets_app.models import Dataset, DatasetTrace, SearchIndex
from datasets_app.traces import normalise_prompt
from tunix_site.errors import InvalidInputError

TABLE = "datasets_app_words"
# On SQLite alone; PostgreSQL's index knows its words.
VOCABULARY = "datasets_app_vocabulary"
BATCH = 2000
LARGEST_AT_ONCE = 10_000
CLUSTER = "housekeeping"
SILENT_AFTER = timedelta(minutes=10)
RUN_INDEX = "datasets_app.tasks.run_search_index"
MAX_QUERY = 200
MAX_WORDS = 12
MAX_DISTINCT = 10_000
LONGEST_WORD = 64
SHORTEST_BEGINNING = 3
MOST_ENDINGS = 500
BITS = 31
LAST = (1 << BITS) - 1

# A letter of private use begins what marks a split or a family: the index takes it for a part of a
# word, and `words_in` never gives it.
MARK = "\ue000"

_WORD = re.compile(r"[^\W_]+")


def words_in(text: str) -> list[str]:
    """Give the words of a text as the index has them: folded, letters and digits only, cut at 64."""
    return [word[:LONGEST_WORD] for word in _WORD.findall(normalise_prompt(text))]


@dataclass(frozen=True, slots=True)
class Query:
    """Words that must all occur; the last may be the beginning of one.

    Not so with one or two Latin letters or digits: with them begin the words of a whole dataset.
    """

    words: tuple[str, ...]

    @property
    def may_go_on(self) -> bool:
        """Whether the last word may be the beginning of one."""
        return len(self.words[-1]) >= SHORTEST_BEGINNING or not self.words[-1].isascii()

    def for_sqlite(self, marks: Sequence[str] = (), endings: Sequence[str] = ()) -> str:
        """The query in FTS5's language; words are letters and digits, so nothing needs escaping.

        ``endings``: the words that begin with the last one, where they are known.
        """
        *first, last = (f'"{word}"' for word in (*marks, *self.words))
        if endings:
            last = f"({' OR '.join(f'"{word}"' for word in endings)})"
        elif self.may_go_on:
            last += "*"
        return " AND ".join((*first, last))

    def for_postgresql(self, marks: Sequence[str] = ()) -> str:
        """The query as a tsquery."""
        return " & ".join(f"'{word}'" for word in (*marks, *self.words)) + ":*" * self.may_go_on


def parse_query(text: str) -> Query | None:
    """Read what a person typed; None where there is no word in it.

    Raises:
        InvalidInputError: if it is too long.
    """
    if len(text) > MAX_QUERY:
        raise InvalidInputError(f"The search has {len(text)} characters; at most {MAX_QUERY} are allowed.")
    words = words_in(text)
    if len(words) > MAX_WORDS:
        raise InvalidInputError(f"The search has {len(words)} words; at most {MAX_WORDS} are allowed.")
    return Query(tuple(words)) if words else None


def is_ready(*, dataset: Dataset) -> bool:
    """Tell whether every trace of a dataset is in the index."""
    return SearchIndex.objects.filter(dataset=dataset, ready=True).exists()


def plan_index(*, dataset: Dataset) -> None:
    """Index a published dataset: now where it is small, in the queue where it is large."""
    SearchIndex.objects.get_or_create(dataset=dataset)
    if dataset.trace_count <= LARGEST_AT_ONCE:
        build_index(dataset_id=dataset.pk)
    else:
        async_task(RUN_INDEX, dataset.pk, cluster=CLUSTER, task_name=f"search-{dataset.pk}")


def plan_again(*, dataset: Dataset) -> None:
    """Plan an index that nobody works at: it was never asked for, was dropped, or its worker was lost."""
    index, made = SearchIndex.objects.get_or_create(dataset=dataset)
    silent = SearchIndex.objects.filter(
        dataset=dataset, ready=False, updated_at__lt=timezone.now() - SILENT_AFTER
    )
    if made or silent.update(updated_at=timezone.now()):
        plan_index(dataset=index.dataset)


def build_index(*, dataset_id: int) -> bool:
    """Index what is not indexed yet, in short transactions; tells whether this call finished it.

    Two deliveries at once are harmless: each batch moves a marker on that only one of them can move.
    """
    while True:
        index = SearchIndex.objects.filter(dataset_id=dataset_id, ready=False).first()
        if index is None:
            return False
        start = index.done_until
        rows = _rows(dataset_id, start, start + BATCH)
        with transaction.atomic():
            mine = SearchIndex.objects.filter(dataset_id=dataset_id, done_until=start, ready=False)
            news = {"done_until": start + len(rows), "ready": len(rows) < BATCH}
            if not mine.update(updated_at=timezone.now(), **news):
                return False
            _insert(rows)
        if news["ready"]:
            return True


def drop_index(*, dataset: Dataset) -> None:
    """Take the words of a dataset out of the index (before its rows go)."""
    while True:
        with transaction.atomic():
            index = SearchIndex.objects.filter(dataset=dataset).first()
            if index is None or index.done_until == 0:
                SearchIndex.objects.filter(dataset=dataset).delete()
                return
            until = max(0, index.done_until - BATCH)
            _delete(_rows(dataset.pk, until, index.done_until))
            SearchIndex.objects.filter(dataset=dataset).update(done_until=until, ready=False)


def _rows(dataset_id: int, start: int, stop: int) -> list[tuple[int, list[str]]]:
    members = DatasetTrace.objects.filter(
        dataset_id=dataset_id, position__gte=start, position__lt=stop
    ).order_by("position")
    columns = ("position", "split", "family", "trace__prompt", "trace__steps", "trace__final_answer")
    return [
        (
            _place(dataset_id, position),
            _words_of([prompt, *(step["content"] for step in steps), answer]) + _marks(split, family),
        )
        for position, split, family, prompt, steps, answer in members.values_list(*columns)
    ]


def _marks(split: str | None, family: str | None) -> list[str]:
    """Give the words that stand for a split and a family; none for what is None."""
    told = (("split", split), ("family", family))
    return [
        MARK + hashlib.blake2b(f"{name} {value}".encode(), digest_size=8).hexdigest()
        for name, value in told
        if value is not None
    ]


def find_positions(
    *,
    dataset: Dataset,
    query: Query,
    split: str | None = None,
    family: str | None = None,
    after: int | None = None,
    before: int | None = None,
    limit: int = 20,
) -> list[int]:
    """Give the positions of traces that have all words, in order; or the last ones before ``before``."""
    if before == 0:
        return []
    first = _place(dataset.pk, 0 if after is None else after + 1)
    last = _place(dataset.pk, LAST if before is None else before - 1)
    marks = _marks(split, family)
    words = query.for_postgresql(marks)
    if _is_sqlite():
        endings = _endings(query.words[-1]) if query.may_go_on else [query.words[-1]]
        if not endings:
            return []
        words = query.for_sqlite(marks, endings if len(endings) <= MOST_ENDINGS else ())
    place = "rowid" if _is_sqlite() else "place"
    order = "ASC" if before is None else "DESC"
    sql = (
        f"SELECT {place} FROM {TABLE} "  # noqa: S608 - no value in it
        f"WHERE {place} BETWEEN %s AND %s AND {_match()} ORDER BY {place} {order} LIMIT %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [first, last, words, limit])
        return sorted(found & LAST for (found,) in cursor.fetchall())


def _place(dataset_id: int, position: int) -> int:
    """Give the key of a trace's words: rising with the position, the datasets one after the other."""
    start = dataset_id << BITS
    return start + max(0, min(position, LAST))


def forget_flushed(**_: object) -> None:
    """Empty the index where no dataset is left: `flush` knows nothing of its table."""
    if TABLE not in connection.introspection.table_names() or Dataset.objects.exists():
        return
    with connection.cursor() as cursor:
        if _is_sqlite():
            cursor.execute(f"INSERT INTO {TABLE}({TABLE}) VALUES ('delete-all')")  # noqa: S608
            cursor.execute(f"DELETE FROM {VOCABULARY}")  # noqa: S608
        else:
            cursor.execute(f"TRUNCATE {TABLE}")


def _is_sqlite() -> bool:
    return connection.vendor == "sqlite"


def _match() -> str:
    return f"{TABLE} MATCH %s" if _is_sqlite() else "words @@ %s::tsquery"


def _words_of(texts: Iterable[str]) -> list[str]:
    return sorted(set(words_in("\n".join(texts))))[:MAX_DISTINCT]


def _endings(start: str) -> list[str]:
    """Give the indexed words that begin so, at most one more than `MOST_ENDINGS`.

    FTS5 would collect all traces of all datasets that have any of them before it gave the first.
    """
    with connection.cursor() as cursor:
        sql = f"SELECT word FROM {VOCABULARY} WHERE word >= %s AND word < %s ORDER BY word LIMIT %s"  # noqa: S608
        cursor.execute(sql, [start, start + chr(0x10FFFF), MOST_ENDINGS + 1])
        return [word for (word,) in cursor.fetchall()]


def _insert(rows: Sequence[tuple[int, list[str]]]) -> None:
    with connection.cursor() as cursor:
        if _is_sqlite():
            sql = f"INSERT INTO {TABLE}(rowid, words) VALUES (%s, %s)"  # noqa: S608
            cursor.executemany(sql, [(place, " ".join(words)) for place, words in rows])
            known = {word for _, words in rows for word in words if not word.startswith(MARK)}
            sql = f"INSERT OR IGNORE INTO {VOCABULARY}(word) VALUES (%s)"  # noqa: S608
            cursor.executemany(sql, [(word,) for word in sorted(known)])
        else:
            sql = f"INSERT INTO {TABLE}(place, words) VALUES (%s, array_to_tsvector(%s::text[]))"  # noqa: S608
            cursor.executemany(sql, [(place, words) for place, words in rows])


def _delete(rows: Sequence[tuple[int, list[str]]]) -> None:
    with connection.cursor() as cursor:
        if _is_sqlite():
            # An index without a copy of its texts is told what to take out.
            sql = f"INSERT INTO {TABLE}({TABLE}, rowid, words) VALUES ('delete', %s, %s)"  # noqa: S608
            cursor.executemany(sql, [(place, " ".join(words)) for place, words in rows])
        else:
            sql = f"DELETE FROM {TABLE} WHERE place = ANY(%s)"  # noqa: S608
            cursor.execute(sql, [[place for place, _ in rows]])
