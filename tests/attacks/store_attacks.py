"""What an attacker with every right on the store can do to it; tests and README share the table `ATTACKS`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping

from attacks.attacked_store import AttackedStore, command, record_calls, rehashed, ship
from sealed_ledgers import ORIGIN, edited
from spanledger_exporter.keys.key_file import make_key
from spanledger_exporter.ledger.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from spanledger_exporter.ledger.merkle import leaf_hash, root_of
from spanledger_exporter.ledger.note import format_note, parse_note
from spanledger_exporter.ledger.row import genesis_hash, make_row
from spanledger_exporter.recorder import open_recorder
from spanledger_exporter.store.connection import open_store

Attack = Callable[[AttackedStore], None]


def edit(store: AttackedStore) -> None:
    """Change one envelope and leave its hashes."""
    rows = store.rows()
    rows[3] = edited(rows[3], env=rows[3][4].replace(b"success", b"failure"))
    store.replace_rows(rows)


def edit_by_mutation(store: AttackedStore) -> None:
    """Change envelopes with ALTER … UPDATE."""
    store.sql(
        "ALTER TABLE rows UPDATE env = replaceOne(env, 'success', 'failure') WHERE seq = 2 SETTINGS mutations_sync = 2"
    )


def edit_time(store: AttackedStore) -> None:
    """Change the time of one row."""
    rows = store.rows()
    rows[4] = edited(rows[4], time_ns=rows[4][3] + 1)
    store.replace_rows(rows)


def edit_tenant(store: AttackedStore) -> None:
    """Give one row to another tenant, so that the right one does not see it."""
    rows = store.rows()
    rows[4] = edited(rows[4], tenant="other")
    store.replace_rows(rows)


def delete(store: AttackedStore) -> None:
    """Take one row out of the middle."""
    rows = store.rows()
    del rows[3]
    store.replace_rows(rows)


def delete_by_mutation(store: AttackedStore) -> None:
    """Take rows out with a lightweight DELETE."""
    store.sql("DELETE FROM rows WHERE seq = 4")


def delete_and_rehash(store: AttackedStore) -> None:
    """Take one row out, close the gap, and make every hash right again."""
    rows = store.rows()
    chain = rows[3][0]
    del rows[3]
    moved = [edited(row, seq=row[1] - 1) if row[0] == chain and row[1] > 3 else row for row in rows]
    store.replace_rows(rehashed(moved))


def edit_and_rehash(store: AttackedStore) -> None:
    """Change one envelope and make every hash behind it right again."""
    rows = store.rows()
    rows[3] = edited(rows[3], env=rows[3][4].replace(b"success", b"failure"))
    store.replace_rows(rehashed(rows))


def insert(store: AttackedStore) -> None:
    """Put a well-hashed row behind the end of a sealed chain."""
    rows = store.rows()
    chain, seq, _, time_ns, env, _, head, tenant = rows[-1]
    row = make_row(chain_id=chain, seq=seq + 2, prev_hash=head, time_ns=time_ns, env=env, tenant=tenant)
    store.replace_rows([*rows, (chain, seq + 2, head, time_ns, env, row.env_hash, row.row_hash, tenant)])


def insert_chain(store: AttackedStore) -> None:
    """Put a whole chain of well-hashed rows into the store that no writer ever opened."""
    rows = store.rows()
    forged = [edited(row, chain_id=b"\x77" * 16, prev_hash=genesis_hash(b"\x77" * 16)) for row in rows[:4]]
    store.replace_rows([*rows, *rehashed(forged)])


def reorder(store: AttackedStore) -> None:
    """Exchange the envelopes of two rows, with their hashes."""
    rows = store.rows()
    rows[3], rows[4] = edited(rows[4], seq=rows[3][1]), edited(rows[3], seq=rows[4][1])
    store.replace_rows(rows)


def truncate_rows(store: AttackedStore) -> None:
    """Cut the newest rows of a chain."""
    store.replace_rows(store.rows()[:-2])


def truncate_segments(store: AttackedStore) -> None:
    """Cut the newest rows and the log entries that seal them."""
    rows = store.rows()
    last = rows[-1][0]
    store.replace_rows([row for row in rows if row[0] != last])
    store.rewrite("log", f"SELECT * FROM log WHERE entry NOT LIKE '%{last.hex()}%'")


def truncate_log(store: AttackedStore) -> None:
    """Cut the newest log entry."""
    store.rewrite("log", "SELECT * FROM log WHERE index < (SELECT max(index) FROM log)")


def truncate_checkpoints(store: AttackedStore) -> None:
    """Forget the newest checkpoint."""
    store.rewrite("checkpoints", "SELECT * FROM checkpoints WHERE size < (SELECT max(size) FROM checkpoints)")


def forget_first_checkpoint(store: AttackedStore) -> None:
    """Forget the oldest checkpoint."""
    store.rewrite("checkpoints", "SELECT * FROM checkpoints WHERE size > (SELECT min(size) FROM checkpoints)")


def truncate_everything(store: AttackedStore) -> None:
    """Go back to the first checkpoint in every table at once."""
    size = store.query("SELECT min(size) FROM checkpoints")[0][0]
    chains = {
        bytes.fromhex(json.loads(e).get("chain", ""))
        for (e,) in store.query(f"SELECT entry FROM log WHERE index < {size}")
    }
    store.replace_rows([row for row in store.rows() if row[0] in chains])
    for table, column in (("log", "index"), ("checkpoints", "size"), ("anchors", "size")):
        store.rewrite(table, f"SELECT * FROM {table} WHERE {column} {'<' if table == 'log' else '<='} {size}")


def drop_chain(store: AttackedStore) -> None:
    """Take out one chain whole."""
    rows = store.rows()
    store.replace_rows([row for row in rows if row[0] != rows[0][0]])


def drop_rows_table(store: AttackedStore) -> None:
    """Drop the table of rows."""
    store.sql("DROP TABLE rows SYNC")


def drop_everything(store: AttackedStore) -> None:
    """Empty every table of the ledger."""
    store.sql(*(f"TRUNCATE TABLE {table}" for table in ("rows", "content", "log", "checkpoints", "anchors")))


def drop_store(store: AttackedStore) -> None:
    """Remove the store's directory."""
    shutil.rmtree(store.directory / "store")


def fork(store: AttackedStore) -> None:
    """Tell a second history of one row beside the first."""
    rows = store.rows()
    twin = rehashed([edited(rows[3], env=rows[3][4].replace(b"success", b"failure"))])
    store.replace_rows([*rows, *twin])


def roll_back(store: AttackedStore) -> None:
    """Put an older copy of the store in place of the newer one."""
    older = store.directory.with_name(f"{store.directory.name}-older")
    shutil.copytree(store.directory / "store", older, symlinks=True)
    with open_recorder(store.settings, role="application") as recorder:
        record_calls(recorder, 3, word="later")
    ship(store.settings)
    assert command(store.directory, "seal")[0] == 0
    shutil.rmtree(store.directory / "store")
    shutil.move(older, store.directory / "store")


def backdate(store: AttackedStore) -> None:
    """Append a row that claims to be a year older, with right hashes."""
    rows = store.rows()
    chain, seq, _, time_ns, env, _, head, tenant = rows[-1]
    year = 365 * 86_400 * 10**9
    row = make_row(chain_id=chain, seq=seq + 1, prev_hash=head, time_ns=time_ns - year, env=env, tenant=tenant)
    forged = (chain, seq + 1, head, time_ns - year, env, row.env_hash, row.row_hash, tenant)
    store.replace_rows([*rows, forged])


def replay(store: AttackedStore) -> None:
    """Copy a row with its hashes into another chain."""
    rows = store.rows()
    other = next(row for row in rows if row[0] != rows[3][0] and row[1] == rows[3][1])
    store.replace_rows([*(row for row in rows if row is not other), edited(rows[3], chain_id=other[0])])


def swap_content(store: AttackedStore) -> None:
    """Put other bytes under a reference."""
    store.rewrite(
        "content",
        "SELECT tenant, ref, class, media, size, if(data = 'question 2', 'question X', data), key_id, stored_at "
        "FROM content",
    )


def delete_content(store: AttackedStore) -> None:
    """Remove one text."""
    store.rewrite("content", "SELECT * FROM content WHERE data != 'question 2'")


def withhold_content(store: AttackedStore) -> None:
    """Empty one text and say that it was withheld all along."""
    store.rewrite(
        "content",
        "SELECT tenant, ref, if(data = 'question 2', 'withheld', class), media, size, "
        "if(data = 'question 2', '', data), key_id, stored_at FROM content",
    )


def encrypt_content(store: AttackedStore) -> None:
    """Replace one text and say that it is encrypted under some key."""
    store.rewrite(
        "content",
        "SELECT tenant, ref, class, media, size, if(data = 'question 2', 'noise', data), "
        "if(data = 'question 2', 'key-1', key_id), stored_at FROM content",
    )


def forge_column(store: AttackedStore) -> None:
    """Redefine a typed column and materialise the lie, with `env` and every hash intact."""
    store.sql(
        "ALTER TABLE rows MODIFY COLUMN outcome LowCardinality(String) MATERIALIZED 'success at last'",
        "ALTER TABLE rows MATERIALIZE COLUMN outcome SETTINGS mutations_sync = 2",
    )


def redefine_column(store: AttackedStore) -> None:
    """Redefine a typed column for the rows to come."""
    store.sql("ALTER TABLE rows MODIFY COLUMN cost_usd Decimal(18, 9) MATERIALIZED 0")


def redefine_view(store: AttackedStore) -> None:
    """Let the view that people read leave rows out."""
    (before,) = store.query(
        "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = 'events'"
    )
    store.sql(f"CREATE OR REPLACE VIEW events AS SELECT * FROM ({before[0]}) WHERE outcome != 'error'")


def forge_column_and_restore(store: AttackedStore) -> None:
    """Materialise a lie and put the right definition back."""
    (before,) = store.query("SELECT default_expression FROM system.columns WHERE table = 'rows' AND name = 'actor_id'")
    store.sql(
        "ALTER TABLE rows MODIFY COLUMN actor_id String MATERIALIZED 'somebody else'",
        "ALTER TABLE rows MATERIALIZE COLUMN actor_id SETTINGS mutations_sync = 2",
        f"ALTER TABLE rows MODIFY COLUMN actor_id String MATERIALIZED {before[0]}",
    )


def edit_log_entry(store: AttackedStore) -> None:
    """Change a log entry and its leaf hash."""
    rows = store.query("SELECT index, entry, leaf_hash FROM log ORDER BY index", binary=("entry",))
    forged = [(index, entry.replace(b"events", b"evenxs"), leaf) for index, entry, leaf in rows]
    _replace_log(store, [(index, entry, leaf_hash(entry)) for index, entry, _ in forged])


def edit_leaf_hash(store: AttackedStore) -> None:
    """Change a stored leaf hash alone."""
    rows = store.query("SELECT index, entry, leaf_hash FROM log ORDER BY index", binary=("entry",))
    _replace_log(store, [(index, entry, bytes(32) if index == 1 else leaf) for index, entry, leaf in rows])


def _replace_log(store: AttackedStore, rows: list[tuple[int, bytes, bytes]]) -> None:
    with open_store(store.settings, role="owner") as opened:
        opened.command("CREATE TABLE forged AS log")
        opened.insert("forged", ["index", "entry", "leaf_hash"], [(i, entry.decode(), leaf) for i, entry, leaf in rows])
        opened.command("EXCHANGE TABLES forged AND log")
        opened.command("DROP TABLE forged SYNC")


def forge_checkpoint(store: AttackedStore) -> None:
    """Sign the newest checkpoint with another key of the same name."""
    (size, root, note), *_ = store.query("SELECT size, root, note FROM checkpoints ORDER BY size DESC")
    origin = parse_checkpoint(parse_note(note).text).origin
    forged = format_note(sign_checkpoint(Checkpoint(origin, size, root), [make_key(origin)]))
    store.rewrite("checkpoints", f"SELECT size, root, if(size = {size}, '{forged}', note), created_at FROM checkpoints")


def reseal_with_another_key(store: AttackedStore) -> None:
    """Edit a row, re-hash the chain, rebuild log and checkpoints, and sign them with a key of the attacker's."""
    edit_and_rehash(store)
    signer = make_key(ORIGIN)
    entries = [entry for (entry,) in store.query("SELECT entry FROM log ORDER BY index")]
    checkpoint = Checkpoint(ORIGIN, len(entries), root_of([leaf_hash(entry.encode()) for entry in entries]))
    note = format_note(sign_checkpoint(checkpoint, [signer]))
    store.rewrite("checkpoints", f"SELECT size, root, '{note}', created_at FROM checkpoints")


def delete_anchor_file(store: AttackedStore) -> None:
    """Remove the newest anchored checkpoint from the anchor directory."""
    max((store.directory / "anchors" / "checkpoints").iterdir()).unlink()


def delete_anchors(store: AttackedStore) -> None:
    """Remove the anchor directory."""
    shutil.rmtree(store.directory / "anchors")


def delete_registry_entry(store: AttackedStore) -> None:
    """Remove one chain from the registry."""
    min((store.directory / "anchors" / "chains").iterdir()).unlink()


def edit_receipt(store: AttackedStore) -> None:
    """Let a receipt speak of another size."""
    store.rewrite("anchors", "SELECT size + 1, kind, target, receipt, created_at FROM anchors")


def hide_rows(store: AttackedStore) -> None:
    """Put a view that leaves rows out in place of the table."""
    store.sql("RENAME TABLE rows TO hidden", "CREATE VIEW rows AS SELECT * FROM hidden WHERE seq != 3")


def empty_receipts(store: AttackedStore) -> None:
    """Empty the table of anchor receipts."""
    store.sql("TRUNCATE TABLE anchors")


def delete_registry(store: AttackedStore) -> None:
    """Remove the whole chain registry and leave the checkpoints."""
    shutil.rmtree(store.directory / "anchors" / "chains")


def forge_view(store: AttackedStore) -> None:
    """Let the view that people read leave out what went wrong."""
    ((select,),) = store.query(
        "SELECT as_select FROM system.tables WHERE name = 'events' AND database = currentDatabase()"
    )
    store.sql(f"CREATE OR REPLACE VIEW events AS SELECT * FROM ({select}) WHERE outcome != 'error'")


ATTACKS: Mapping[str, Attack] = {
    attack.__name__.replace("_", " "): attack
    for attack in (
        edit,
        edit_by_mutation,
        edit_time,
        edit_tenant,
        delete,
        delete_by_mutation,
        delete_and_rehash,
        edit_and_rehash,
        insert,
        insert_chain,
        reorder,
        truncate_rows,
        truncate_segments,
        truncate_log,
        truncate_checkpoints,
        forget_first_checkpoint,
        truncate_everything,
        drop_chain,
        drop_rows_table,
        drop_everything,
        drop_store,
        fork,
        roll_back,
        backdate,
        replay,
        swap_content,
        delete_content,
        withhold_content,
        encrypt_content,
        forge_column,
        redefine_column,
        redefine_view,
        forge_column_and_restore,
        edit_log_entry,
        edit_leaf_hash,
        forge_checkpoint,
        reseal_with_another_key,
        delete_anchor_file,
        delete_anchors,
        delete_registry_entry,
        edit_receipt,
        hide_rows,
        empty_receipts,
        delete_registry,
        forge_view,
    )
}
