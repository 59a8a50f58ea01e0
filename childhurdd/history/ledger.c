/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The history's file: opened, made, looked over. keep.c writes what happened, thin.c drops it.
 *
 * SQLite keeps a write-ahead log (https://sqlite.org/wal.html), so readers and the writer do not
 * wait for one another, and a daemon that is killed in the middle of a write leaves a whole file.
 * With synchronous = NORMAL only a checkpoint waits for the disk; after a power failure the last
 * transactions may be missing.
 */
#include "childhurdd/history/ledger_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION 1751740004 /* "hird", as file(1) shows it */
#define VERSION	    1	       /* of the tables */
#define PAGE	    4096
#define CLOCK_ZERO  1577836800 /* s since 1970: numbers of the clock are s since 2020 (UTC) */

G_DEFINE_QUARK(childhurd - history - ledger, ledger_error)

/* Times are µs of the wall clock, durations ms, `day` counts days since 1970 (UTC). `end` NULL: it
 * goes on. What is in `day` is summed up when a state or a build ends. */
static const char schema[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    /* texts that came more than once; those columns without a type have a text or a word */
    "CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL);"
    "CREATE TABLE guest (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE event (number INTEGER PRIMARY KEY, time INTEGER NOT NULL, guest INTEGER,"
    " state, text NOT NULL);"
    "CREATE INDEX event_time ON event (time);"
    "CREATE TABLE state (guest INTEGER NOT NULL, begin INTEGER NOT NULL, end INTEGER,"
    " state NOT NULL, wanted INTEGER NOT NULL, event INTEGER,"
    " PRIMARY KEY (guest, begin)) WITHOUT ROWID;"
    "CREATE TABLE boot (guest INTEGER NOT NULL, begin INTEGER NOT NULL, how TEXT NOT NULL,"
    " ready INTEGER, ms INTEGER, phases TEXT NOT NULL, end INTEGER, ended,"
    " builds INTEGER NOT NULL DEFAULT 0, build_ms INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY (guest, begin)) WITHOUT ROWID;"
    "CREATE TABLE failure (guest INTEGER NOT NULL, time INTEGER NOT NULL, phase TEXT NOT NULL,"
    " reason TEXT NOT NULL, text TEXT NOT NULL, picture INTEGER,"
    " PRIMARY KEY (guest, time)) WITHOUT ROWID;"
    "CREATE TABLE picture (id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL,"
    " png BLOB NOT NULL);"
    "CREATE TABLE build (guest INTEGER NOT NULL, begin INTEGER NOT NULL, slot INTEGER NOT NULL,"
    " end INTEGER, PRIMARY KEY (guest, begin, slot)) WITHOUT ROWID;"
    "CREATE INDEX build_open ON build (guest) WHERE end IS NULL;"
    /* level 0: as measured, 1: LEDGER_COARSE, 2: LEDGER_COARSEST; n: how many are in it; probe in
     * 0.1 ms, load in 0.01, cpu in 0.001 of a core, the others in KiB */
    "CREATE TABLE sample (guest INTEGER NOT NULL, begin INTEGER NOT NULL, level INTEGER NOT NULL,"
    " end INTEGER NOT NULL, n INTEGER NOT NULL, probe INTEGER, load INTEGER, disk_free INTEGER,"
    " store_free INTEGER, memory INTEGER, cpu INTEGER,"
    " PRIMARY KEY (guest, begin)) WITHOUT ROWID;"
    "CREATE TABLE restore (guest INTEGER NOT NULL, time INTEGER NOT NULL, ms INTEGER NOT NULL,"
    " reason NOT NULL, PRIMARY KEY (guest, time)) WITHOUT ROWID;"
    "CREATE TABLE day (guest INTEGER NOT NULL, day INTEGER NOT NULL,"
    " wanted INTEGER NOT NULL DEFAULT 0, up INTEGER NOT NULL DEFAULT 0,"
    " builds INTEGER NOT NULL DEFAULT 0, build_ms INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY (guest, day)) WITHOUT ROWID;";

/* --- errors --- */

static enum ledger_error
kind_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table or a column is missing */
	case SQLITE_MISMATCH:
		return LEDGER_ERROR_DAMAGED;
	case SQLITE_IOERR:
		return code == SQLITE_IOERR_SHORT_READ ? LEDGER_ERROR_DAMAGED : LEDGER_ERROR_FAILED;
	default:
		return LEDGER_ERROR_FAILED;
	}
}

void
ledger_set_error(GError **error, sqlite3 *db, int code, const char *path)
{
	int reason = db ? sqlite3_system_errno(db) : 0;
	gboolean system = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR;
	const char *text = code == SQLITE_CANTOPEN_SYMLINK ? "a link, which is not followed"
			   : system && reason		   ? g_strerror(reason)
			   : db				   ? sqlite3_errmsg(db)
							   : sqlite3_errstr(code);
	g_set_error(error, LEDGER_ERROR, (int)kind_of(code), "%s: %s", path, text);
}

static gboolean
fail(const struct ledger *ledger, GError **error)
{
	int code = sqlite3_extended_errcode(ledger->db);
	gint64 pages = 0;
	sqlite3_stmt *statement = NULL;
	ledger_set_error(error, ledger->db, code, ledger->path);
	if ((code & 0xff) != SQLITE_FULL || !error)
		return FALSE;
	/* full: the file system, or all that we allow? */
	if (sqlite3_prepare_v2(ledger->db, "PRAGMA page_count", -1, &statement, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		pages = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	if (pages >= ledger->bytes_max / PAGE - 64)
		(*error)->code = LEDGER_ERROR_FULL;
	return FALSE;
}

/* --- statements --- */

static void
finalize(void *statement)
{
	sqlite3_finalize(statement);
}

GHashTable *
statements_new(void)
{
	return g_hash_table_new_full(NULL, NULL, NULL, finalize);
}

sqlite3_stmt *
statements_find(GHashTable *statements, sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement = g_hash_table_lookup(statements, sql);
	if (statement)
		return statement;
	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		return NULL;
	g_hash_table_insert(statements, (void *)sql, statement);
	return statement;
}

gboolean
ledger_run(struct ledger *ledger, const char *sql, GError **error)
{
	return sqlite3_exec(ledger->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(ledger, error);
}

sqlite3_stmt *
ledger_statement(struct ledger *ledger, const char *sql, const gint64 *integers, guint n,
		 GError **error)
{
	sqlite3_stmt *statement = statements_find(ledger->statements, ledger->db, sql);
	if (!statement) {
		fail(ledger, error);
		return NULL;
	}
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	for (guint i = 0; i < n; i++)
		sqlite3_bind_int64(statement, (int)i + 1, integers[i]);
	return statement;
}

gboolean
ledger_row(struct ledger *ledger, sqlite3_stmt *statement, gboolean *row, GError **error)
{
	int code = sqlite3_step(statement);
	*row = code == SQLITE_ROW;
	if (*row)
		return TRUE;
	gboolean good = code == SQLITE_DONE || fail(ledger, error);
	sqlite3_reset(statement);
	return good;
}

gboolean
ledger_step(struct ledger *ledger, sqlite3_stmt *statement, GError **error)
{
	gboolean row, good = ledger_row(ledger, statement, &row, error);
	sqlite3_reset(statement);
	return good;
}

gboolean
ledger_change(struct ledger *ledger, const char *sql, const gint64 *integers, guint n,
	      GError **error)
{
	sqlite3_stmt *statement = ledger_statement(ledger, sql, integers, n, error);
	return statement && ledger_step(ledger, statement, error);
}

gboolean
ledger_integer(struct ledger *ledger, const char *sql, gint64 missing, gint64 *value,
	       GError **error)
{
	sqlite3_stmt *statement = ledger_statement(ledger, sql, NULL, 0, error);
	if (!statement)
		return FALSE;
	gboolean row, good = ledger_row(ledger, statement, &row, error);
	*value = row && sqlite3_column_type(statement, 0) != SQLITE_NULL
		     ? sqlite3_column_int64(statement, 0)
		     : missing;
	sqlite3_reset(statement);
	return good;
}

/* --- opening --- */

/* It is not opened: a FIFO, for one, could take for ever. */
static gboolean
refuse_kind(const char *path, const struct stat *st, GError **error)
{
	g_set_error(error, LEDGER_ERROR, LEDGER_ERROR_FAILED,
		    "%s: is %s; move it away, and the history begins", path,
		    S_ISDIR(st->st_mode)   ? "a folder"
		    : S_ISLNK(st->st_mode) ? "a link, which is not followed"
		    : S_ISREG(st->st_mode) ? "another user's file"
					   : "no file");
	return FALSE;
}

/* Make an empty file, for SQLite to fill, which nobody else can read; or look at the one there. The
 * folder is the daemon's alone. */
static gboolean
look_at_file(const char *path, GError **error)
{
	struct stat st;
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) { /* new, so SQLite has no lock on it that this would give up */
		close(fd);
		return TRUE;
	}
	int code = errno;
	if (lstat(path, &st) < 0) {
		g_set_error(error, LEDGER_ERROR, LEDGER_ERROR_FAILED, "%s: cannot be made: %s",
			    path, g_strerror(code));
		return FALSE;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return refuse_kind(path, &st, error);
	if ((st.st_mode & 0777) != 0600 && chmod(path, 0600) < 0) {
		g_set_error(error, LEDGER_ERROR, LEDGER_ERROR_FAILED,
			    "%s: cannot be made private: %s", path, g_strerror(errno));
		return FALSE;
	}
	return TRUE;
}

static gboolean
make_tables(struct ledger *ledger, GError **error)
{
	ledger->made = TRUE;
	g_autofree char *set = g_strdup_printf(
	    "PRAGMA application_id = %d; PRAGMA user_version = %d;", APPLICATION, VERSION);
	return ledger_run(ledger, "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;",
			  error) &&
	       ledger_run(ledger, "PRAGMA journal_mode = WAL;", error) &&
	       ledger_run(ledger, "BEGIN IMMEDIATE;", error) && ledger_run(ledger, schema, error) &&
	       ledger_run(ledger, set, error) && ledger_run(ledger, "COMMIT;", error);
}

/* Are the pages in order? A file of 64 MiB takes a fraction of a second. */
static gboolean
is_sound(struct ledger *ledger, GError **error)
{
	sqlite3_stmt *statement = ledger_statement(ledger, "PRAGMA quick_check(1)", NULL, 0, error);
	if (!statement)
		return FALSE;
	gboolean row, good = ledger_row(ledger, statement, &row, error);
	const char *text = row ? (const char *)sqlite3_column_text(statement, 0) : NULL;
	if (row && !text)
		good = fail(ledger, error);
	else if (good && g_strcmp0(text, "ok")) {
		g_set_error(error, LEDGER_ERROR, LEDGER_ERROR_DAMAGED, "%s: %s", ledger->path,
			    text ? text : "cannot be looked over");
		good = FALSE;
	}
	sqlite3_reset(statement);
	return good;
}

static gboolean
look_over(struct ledger *ledger, GError **error)
{
	gint64 tables, application, version;
	if (!ledger_integer(ledger, "SELECT count(*) FROM sqlite_schema", 0, &tables, error) ||
	    !ledger_integer(ledger, "PRAGMA application_id", 0, &application, error) ||
	    !ledger_integer(ledger, "PRAGMA user_version", 0, &version, error))
		return FALSE;
	if (!tables && !application)
		return make_tables(ledger, error);
	if (application == APPLICATION && version > VERSION) {
		g_set_error(error, LEDGER_ERROR, LEDGER_ERROR_NEWER,
			    "%s: a later version of childhurdd made it (its tables are of version "
			    "%" G_GINT64_FORMAT
			    ", this daemon knows %d), so it is left alone and nothing is kept; "
			    "update childhurdd, or move it away",
			    ledger->path, version, VERSION);
		return FALSE;
	}
	if (application != APPLICATION || version != VERSION) {
		g_set_error(error, LEDGER_ERROR, LEDGER_ERROR_DAMAGED, "%s: is no history",
			    ledger->path);
		return FALSE;
	}
	return is_sound(ledger, error) && ledger_run(ledger, "PRAGMA journal_mode = WAL;", error);
}

/* What the daemon before this one left open. Boots and builds may go on: what is told of the guests
 * decides. */
static gboolean
recall(struct ledger *ledger, GError **error)
{
	return ledger_learn(ledger, error) &&
	       ledger_integer(ledger, "SELECT value FROM meta WHERE name = 'alive'", 0,
			      &ledger->alive, error);
}

static gboolean
set_limits(struct ledger *ledger, GError **error)
{
	g_autofree char *sql = g_strdup_printf(
	    "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = %d;"
	    "PRAGMA wal_autocheckpoint = %d; PRAGMA max_page_count = %" G_GINT64_FORMAT
	    "; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = "
	    "-2048;",
	    LEDGER_LOG_MAX / 2, LEDGER_LOG_MAX / 4 / PAGE, ledger->bytes_max / PAGE);
	return ledger_run(ledger, sql, error);
}

struct ledger *
ledger_open(const char *path, gint64 bytes_max, GError **error)
{
	if (!look_at_file(path, error))
		return NULL;
	struct ledger *ledger = g_new0(struct ledger, 1);
	ledger->path = g_strdup(path);
	ledger->bytes_max = bytes_max;
	ledger->ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	ledger->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	ledger->words = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	ledger->once = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	ledger->fresh = g_ptr_array_new_with_free_func(g_free);
	ledger->statements = statements_new();
	int code = sqlite3_open_v2(path, &ledger->db,
				   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
				       SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
				   NULL);
	if (code != SQLITE_OK)
		ledger_set_error(error, ledger->db, code, path);
	else
		sqlite3_busy_timeout(ledger->db, LEDGER_BUSY);
	if (code == SQLITE_OK && set_limits(ledger, error) && look_over(ledger, error) &&
	    recall(ledger, error))
		return ledger;
	ledger_close(ledger);
	return NULL;
}

void
ledger_close(struct ledger *ledger)
{
	if (!ledger)
		return;
	g_hash_table_unref(ledger->statements);
	sqlite3_close(ledger->db);
	g_hash_table_unref(ledger->ids);
	g_hash_table_unref(ledger->seen);
	g_hash_table_unref(ledger->words);
	g_hash_table_unref(ledger->once);
	g_ptr_array_unref(ledger->fresh);
	g_free(ledger->path);
	g_free(ledger);
}

gboolean
ledger_begin(struct ledger *ledger, gint64 now, enum ledger_before before, GError **error)
{
	const gint64 values[] = {now, before};
	if (!ledger->made)
		return TRUE;
	ledger->made = FALSE;
	return ledger_change(
	    ledger,
	    "INSERT OR REPLACE INTO meta (name, value) VALUES ('begun', ?1), ('before', ?2)",
	    values, G_N_ELEMENTS(values), error);
}

gboolean
ledger_beginning(struct ledger *ledger, gint64 *begun, enum ledger_before *before, GError **error)
{
	gint64 code = LEDGER_BEFORE_NOTHING;
	gboolean good = ledger_integer(ledger, "SELECT value FROM meta WHERE name = 'begun'", 0,
				       begun, error) &&
			ledger_integer(ledger, "SELECT value FROM meta WHERE name = 'before'", code,
				       &code, error);
	*before = code == LEDGER_BEFORE_DAMAGED || code == LEDGER_BEFORE_GONE
		      ? (enum ledger_before)code
		      : LEDGER_BEFORE_NOTHING;
	return good;
}

GHashTable *
ledger_seen(struct ledger *ledger)
{
	return g_hash_table_ref(ledger->seen);
}

void
ledger_go_on(struct ledger *ledger, GHashTable *seen)
{
	g_hash_table_ref(seen);
	g_hash_table_unref(ledger->seen);
	ledger->seen = seen;
}

gboolean
ledger_moved(struct ledger *ledger)
{
	int moved = 0;
	return sqlite3_file_control(ledger->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) ==
		   SQLITE_OK &&
	       moved;
}

gboolean
ledger_put_aside(const char *path, GError **error)
{
	static const char *const ends[] = {"-wal", "-shm"};
	g_autofree char *aside = g_strconcat(path, ".damaged", NULL);
	if (rename(path, aside) < 0 && errno != ENOENT) {
		g_set_error(error, LEDGER_ERROR, LEDGER_ERROR_FAILED,
			    "%s: is damaged, and cannot be moved to %s: %s; remove it", path, aside,
			    g_strerror(errno));
		return FALSE;
	}
	for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
		g_autofree char *file = g_strconcat(path, ends[i], NULL);
		unlink(file);
	}
	return TRUE;
}

/* --- reading --- */

sqlite3 *
ledger_read(const char *path, GError **error)
{
	sqlite3 *db = NULL;
	struct stat st;
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		refuse_kind(path, &st, error);
		return NULL;
	}
	int code = sqlite3_open_v2(path, &db,
				   SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX |
				       SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
				   NULL);
	sqlite3_stmt *statement = NULL;
	gint64 application = 0, version = 0;
	if (code == SQLITE_OK) {
		sqlite3_busy_timeout(db, LEDGER_BUSY);
		code = sqlite3_prepare_v2(
		    db, "SELECT * FROM pragma_application_id, pragma_user_version", -1, &statement,
		    NULL);
	}
	if (code == SQLITE_OK) {
		code = sqlite3_step(statement);
		application = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
		version = code == SQLITE_ROW ? sqlite3_column_int64(statement, 1) : 0;
		code = code == SQLITE_ROW ? SQLITE_OK : code;
	}
	sqlite3_finalize(statement);
	if (code != SQLITE_OK)
		ledger_set_error(error, db, code, path);
	else if (application == APPLICATION && version == VERSION)
		return db;
	else
		g_set_error(error, LEDGER_ERROR,
			    application == APPLICATION ? LEDGER_ERROR_NEWER : LEDGER_ERROR_DAMAGED,
			    application == APPLICATION ? "%s: a later version of childhurdd made it"
						       : "%s: is no history",
			    path);
	sqlite3_close(db);
	return NULL;
}

gint64
ledger_last_number(const char *path)
{
	gint64 number = 0;
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = ledger_read(path, NULL);
	if (db &&
	    sqlite3_prepare_v2(db, "SELECT max(number) FROM event", -1, &statement, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return MAX(0, number);
}

gint64
ledger_number_before(const char *path, gboolean earlier)
{
	gint64 number = ledger_last_number(path);
	struct stat st;
	gboolean there = lstat(path, &st) == 0;
	if (number || !(there || earlier))
		return number;
	/* more than one event a second, over years, would be needed to have used it */
	return MAX(g_get_real_time() / G_USEC_PER_SEC - CLOCK_ZERO, 0);
}
