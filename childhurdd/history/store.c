/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The history's file: opened, made, looked over. keep.c writes what happened, thin.c drops it.
 *
 * SQLite keeps a write-ahead log (https://sqlite.org/wal.html), so readers and the writer do not
 * wait for one another, and a daemon that is killed in the middle of a write leaves a whole file.
 * With synchronous = NORMAL only a checkpoint waits for the disk; after a power failure the last
 * transactions may be missing.
 */
#include "childhurdd/history/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION 1751740004 /* "hird", as file(1) shows it */
#define VERSION	    1	       /* of the tables */
#define PAGE	    4096

G_DEFINE_QUARK(childhurd - history - store, store_error)

/* Times are µs of the wall clock, durations ms, `day` counts days since 1970 (UTC). `end` NULL: it
 * goes on. What is in `day` is summed up when a state or a build ends. */
static const char schema[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE guest (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE event (number INTEGER PRIMARY KEY, time INTEGER NOT NULL, guest INTEGER,"
    " state TEXT, text TEXT NOT NULL);"
    "CREATE INDEX event_time ON event (time);"
    "CREATE TABLE state (guest INTEGER NOT NULL, begin INTEGER NOT NULL, end INTEGER,"
    " state TEXT NOT NULL, wanted INTEGER NOT NULL, event INTEGER,"
    " PRIMARY KEY (guest, begin)) WITHOUT ROWID;"
    "CREATE TABLE boot (guest INTEGER NOT NULL, begin INTEGER NOT NULL, how TEXT NOT NULL,"
    " ready INTEGER, ms INTEGER, phases TEXT NOT NULL, end INTEGER, ended TEXT,"
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
    /* level 0: as measured, 1: STORE_COARSE, 2: STORE_COARSEST; n: how many are in it */
    "CREATE TABLE sample (guest INTEGER NOT NULL, begin INTEGER NOT NULL, level INTEGER NOT NULL,"
    " end INTEGER NOT NULL, n INTEGER NOT NULL, probe_ms REAL, load REAL, disk_free INTEGER,"
    " store_free INTEGER, memory INTEGER, cpu REAL,"
    " PRIMARY KEY (guest, begin)) WITHOUT ROWID;"
    "CREATE TABLE restore (guest INTEGER NOT NULL, time INTEGER NOT NULL, ms INTEGER NOT NULL,"
    " reason TEXT NOT NULL, PRIMARY KEY (guest, time)) WITHOUT ROWID;"
    "CREATE TABLE day (guest INTEGER NOT NULL, day INTEGER NOT NULL,"
    " wanted INTEGER NOT NULL DEFAULT 0, up INTEGER NOT NULL DEFAULT 0,"
    " builds INTEGER NOT NULL DEFAULT 0, build_ms INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY (guest, day)) WITHOUT ROWID;";

/* --- errors --- */

static enum store_error
kind_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table or a column is missing */
	case SQLITE_MISMATCH:
		return STORE_ERROR_DAMAGED;
	case SQLITE_IOERR:
		return code == SQLITE_IOERR_SHORT_READ ? STORE_ERROR_DAMAGED : STORE_ERROR_FAILED;
	default:
		return STORE_ERROR_FAILED;
	}
}

void
store_set_error(GError **error, sqlite3 *db, int code, const char *path)
{
	int reason = db ? sqlite3_system_errno(db) : 0;
	gboolean system = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR;
	const char *text = code == SQLITE_CANTOPEN_SYMLINK ? "a link, which is not followed"
			   : system && reason		   ? g_strerror(reason)
			   : db				   ? sqlite3_errmsg(db)
							   : sqlite3_errstr(code);
	g_set_error(error, STORE_ERROR, (int)kind_of(code), "%s: %s", path, text);
}

static gboolean
fail(const struct store *store, GError **error)
{
	int code = sqlite3_extended_errcode(store->db);
	gint64 pages = 0;
	sqlite3_stmt *statement = NULL;
	store_set_error(error, store->db, code, store->path);
	if ((code & 0xff) != SQLITE_FULL || !error)
		return FALSE;
	/* full: the file system, or all that we allow? */
	if (sqlite3_prepare_v2(store->db, "PRAGMA page_count", -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		pages = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	if (pages >= store->bytes_max / PAGE - 64)
		(*error)->code = STORE_ERROR_FULL;
	return FALSE;
}

/* --- statements --- */

struct prepared {
	const char *sql; /* a constant: compared as a pointer */
	sqlite3_stmt *statement;
};

static void
prepared_free(void *data)
{
	struct prepared *prepared = data;
	sqlite3_finalize(prepared->statement);
	g_free(prepared);
}

gboolean
store_run(struct store *store, const char *sql, GError **error)
{
	return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(store, error);
}

static sqlite3_stmt *
find(struct store *store, const char *sql, GError **error)
{
	for (guint i = 0; i < store->prepared->len; i++) {
		const struct prepared *prepared = g_ptr_array_index(store->prepared, i);
		if (prepared->sql == sql)
			return prepared->statement;
	}
	sqlite3_stmt *statement = NULL;
	if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK) {
		fail(store, error);
		return NULL;
	}
	struct prepared *prepared = g_new(struct prepared, 1);
	*prepared = (struct prepared){sql, statement};
	g_ptr_array_add(store->prepared, prepared);
	return statement;
}

sqlite3_stmt *
store_statement(struct store *store, const char *sql, const gint64 *integers, guint n,
		GError **error)
{
	sqlite3_stmt *statement = find(store, sql, error);
	if (!statement)
		return NULL;
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	for (guint i = 0; i < n; i++)
		sqlite3_bind_int64(statement, (int)i + 1, integers[i]);
	return statement;
}

gboolean
store_step(struct store *store, sqlite3_stmt *statement, GError **error)
{
	int code = sqlite3_step(statement);
	gboolean good =
	    code == SQLITE_DONE || code == SQLITE_ROW || (code == SQLITE_OK) || fail(store, error);
	sqlite3_reset(statement);
	return good;
}

gboolean
store_integer(struct store *store, const char *sql, const gint64 *integers, guint n, gint64 missing,
	      gint64 *value, GError **error)
{
	sqlite3_stmt *statement = store_statement(store, sql, integers, n, error);
	if (!statement)
		return FALSE;
	int code = sqlite3_step(statement);
	*value = code == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL
		     ? sqlite3_column_int64(statement, 0)
		     : missing;
	gboolean good = code == SQLITE_ROW || code == SQLITE_DONE || fail(store, error);
	sqlite3_reset(statement);
	return good;
}

/* --- opening --- */

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
		g_set_error(error, STORE_ERROR, STORE_ERROR_FAILED, "%s: cannot be made: %s", path,
			    g_strerror(code));
		return FALSE;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
		g_set_error(error, STORE_ERROR, STORE_ERROR_FAILED,
			    "%s: is %s; move it away, and the history begins", path,
			    S_ISDIR(st.st_mode)	  ? "a folder"
			    : S_ISLNK(st.st_mode) ? "a link, which is not followed"
			    : S_ISREG(st.st_mode) ? "another user's file"
						  : "no file");
		return FALSE;
	}
	if ((st.st_mode & 0777) != 0600 && chmod(path, 0600) < 0) {
		g_set_error(error, STORE_ERROR, STORE_ERROR_FAILED,
			    "%s: cannot be made private: %s", path, g_strerror(errno));
		return FALSE;
	}
	return TRUE;
}

static gboolean
pragma_integer(struct store *store, const char *sql, gint64 *value, GError **error)
{
	return store_integer(store, sql, NULL, 0, 0, value, error);
}

static gboolean
make_tables(struct store *store, GError **error)
{
	g_autofree char *set = g_strdup_printf(
	    "PRAGMA application_id = %d; PRAGMA user_version = %d;", APPLICATION, VERSION);
	return store_run(store, "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;",
			 error) &&
	       store_run(store, "PRAGMA journal_mode = WAL;", error) &&
	       store_run(store, "BEGIN IMMEDIATE;", error) && store_run(store, schema, error) &&
	       store_run(store, set, error) && store_run(store, "COMMIT;", error);
}

/* Are the pages in order? A file of 64 MiB takes a fraction of a second. */
static gboolean
is_sound(struct store *store, GError **error)
{
	sqlite3_stmt *statement = store_statement(store, "PRAGMA quick_check(1)", NULL, 0, error);
	if (!statement)
		return FALSE;
	int code = sqlite3_step(statement);
	const char *text =
	    code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
	gboolean good = text && !strcmp(text, "ok");
	if (text && !good)
		g_set_error(error, STORE_ERROR, STORE_ERROR_DAMAGED, "%s: %s", store->path, text);
	else if (!good)
		fail(store, error);
	sqlite3_reset(statement);
	return good;
}

static gboolean
look_over(struct store *store, GError **error)
{
	gint64 tables, application, version;
	if (!pragma_integer(store, "SELECT count(*) FROM sqlite_schema", &tables, error) ||
	    !pragma_integer(store, "PRAGMA application_id", &application, error) ||
	    !pragma_integer(store, "PRAGMA user_version", &version, error))
		return FALSE;
	if (!tables && !application)
		return make_tables(store, error);
	if (application == APPLICATION && version > VERSION) {
		g_set_error(error, STORE_ERROR, STORE_ERROR_NEWER,
			    "%s: a later version of childhurdd made it (its tables are of version "
			    "%" G_GINT64_FORMAT
			    ", this daemon knows %d), so it is left alone and nothing is kept; "
			    "update childhurdd, or move it away",
			    store->path, version, VERSION);
		return FALSE;
	}
	if (application != APPLICATION || version != VERSION) {
		g_set_error(error, STORE_ERROR, STORE_ERROR_DAMAGED, "%s: is no history",
			    store->path);
		return FALSE;
	}
	return is_sound(store, error) && store_run(store, "PRAGMA journal_mode = WAL;", error);
}

/* What the daemon before this one left open. Boots and builds may go on: what is told of the guests
 * decides. */
static gboolean
recall(struct store *store, GError **error)
{
	return store_integer(store, "SELECT value FROM meta WHERE name = 'alive'", NULL, 0, 0,
			     &store->alive, error);
}

static gboolean
set_limits(struct store *store, GError **error)
{
	g_autofree char *sql = g_strdup_printf(
	    "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = %d;"
	    "PRAGMA wal_autocheckpoint = %d; PRAGMA max_page_count = %" G_GINT64_FORMAT
	    "; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = "
	    "-2048;",
	    STORE_LOG_MAX / 2, STORE_LOG_MAX / 4 / PAGE, store->bytes_max / PAGE);
	return store_run(store, sql, error);
}

struct store *
store_open(const char *path, gint64 bytes_max, GError **error)
{
	if (!look_at_file(path, error))
		return NULL;
	struct store *store = g_new0(struct store, 1);
	store->path = g_strdup(path);
	store->bytes_max = bytes_max;
	store->ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	store->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	store->fresh = g_ptr_array_new_with_free_func(g_free);
	store->prepared = g_ptr_array_new_with_free_func(prepared_free);
	int code = sqlite3_open_v2(path, &store->db,
				   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
				       SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
				   NULL);
	if (code != SQLITE_OK)
		store_set_error(error, store->db, code, path);
	else
		sqlite3_busy_timeout(store->db, STORE_BUSY);
	if (code == SQLITE_OK && set_limits(store, error) && look_over(store, error) &&
	    recall(store, error))
		return store;
	store_close(store);
	return NULL;
}

void
store_close(struct store *store)
{
	if (!store)
		return;
	g_ptr_array_unref(store->prepared);
	sqlite3_close(store->db);
	g_hash_table_unref(store->ids);
	g_hash_table_unref(store->seen);
	g_ptr_array_unref(store->fresh);
	g_free(store->path);
	g_free(store);
}

gboolean
store_moved(struct store *store)
{
	int moved = 0;
	return sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) ==
		   SQLITE_OK &&
	       moved;
}

gboolean
store_put_aside(const char *path, GError **error)
{
	static const char *const ends[] = {"-wal", "-shm"};
	g_autofree char *aside = g_strconcat(path, ".damaged", NULL);
	if (rename(path, aside) < 0 && errno != ENOENT) {
		g_set_error(error, STORE_ERROR, STORE_ERROR_FAILED,
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
store_read(const char *path, GError **error)
{
	sqlite3 *db = NULL;
	int code = sqlite3_open_v2(path, &db,
				   SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX |
				       SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
				   NULL);
	sqlite3_stmt *statement = NULL;
	gint64 application = 0, version = 0;
	if (code == SQLITE_OK) {
		sqlite3_busy_timeout(db, STORE_BUSY);
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
		store_set_error(error, db, code, path);
	else if (application == APPLICATION && version == VERSION)
		return db;
	else
		g_set_error(error, STORE_ERROR,
			    application == APPLICATION ? STORE_ERROR_NEWER : STORE_ERROR_DAMAGED,
			    application == APPLICATION ? "%s: a later version of childhurdd made it"
						       : "%s: is no history",
			    path);
	sqlite3_close(db);
	return NULL;
}

gint64
store_last_number(const char *path)
{
	gint64 number = 0;
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = store_read(path, NULL);
	if (db &&
	    sqlite3_prepare_v2(db, "SELECT max(number) FROM event", -1, &statement, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return MAX(0, number);
}
